-- Found a tenant.
-- $1 id, $2 company name, $3 subdomain, $4 industry, $5 website -> the row
INSERT INTO tenants (tenant_id, company_name, subdomain, admin_email, industry, website)
VALUES ($1, $2, $3::text, 'admin@' || $3::text || '.example', $4, $5)
RETURNING *
