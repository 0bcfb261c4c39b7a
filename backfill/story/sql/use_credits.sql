-- Use credits of an active allocation, as far as it has them.
-- $1 id, $2 credits -> the row, or none
UPDATE credit_allocations
   SET used_credits = used_credits + $2::numeric, available_credits = available_credits - $2::numeric,
       last_updated_at = now() AT TIME ZONE 'UTC'
 WHERE allocation_id = $1 AND is_active AND available_credits >= $2::numeric AND target_application <> 'system'
RETURNING *
