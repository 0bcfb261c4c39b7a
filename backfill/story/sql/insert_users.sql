-- Add people to a tenant.
-- $1 tenant, $2 ids, $3 first names, $4 last names, $5 e-mail addresses -> the rows
INSERT INTO tenant_users (tenant_id, user_id, first_name, last_name, name, email)
SELECT $1, id, first_name, last_name, first_name || ' ' || last_name, email
  FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS u (id, first_name, last_name, email)
RETURNING *
