-- End an allocation to an application.
-- $1 id -> the row, or none
UPDATE credit_allocations SET is_active = false, last_updated_at = now() AT TIME ZONE 'UTC'
 WHERE allocation_id = $1 AND is_active AND target_application <> 'system'
RETURNING *
