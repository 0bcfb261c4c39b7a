-- Give a person another last name.
-- $1 id, $2 last name -> the row, or none
UPDATE tenant_users
   SET last_name = $2::text, name = first_name || ' ' || $2::text, updated_at = now() AT TIME ZONE 'UTC'
 WHERE user_id = $1
RETURNING *
