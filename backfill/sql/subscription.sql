-- A tenant's row of an application, locked so that two toggles follow one another.
-- $1 tenant, $2 application -> the row, or no row
SELECT * FROM organization_applications WHERE tenant_id = $1::text::uuid AND app_id = $2::text::uuid FOR UPDATE
