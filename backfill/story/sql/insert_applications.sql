-- The applications that tenants can enable, once.
-- nothing -> nothing
INSERT INTO applications (app_code, app_name, base_url)
VALUES ('crm', 'Customer relations', 'https://crm.example'), ('hr', 'Human resources', 'https://hr.example')
ON CONFLICT (app_code) DO NOTHING
