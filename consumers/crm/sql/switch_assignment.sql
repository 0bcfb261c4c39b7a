-- Switch an assignment on or off.
-- $1 tenant, $2 id, $3 whether active -> nothing
UPDATE crm.assignments SET is_active = $3 WHERE tenant_id = $1::text::uuid AND assignment_id = $2
