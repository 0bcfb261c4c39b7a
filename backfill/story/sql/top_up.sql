-- Add credits to an active allocation.
-- $1 id, $2 credits -> the row, or none
UPDATE credit_allocations
   SET allocated_credits = allocated_credits + $2::numeric, available_credits = available_credits + $2::numeric,
       last_updated_at = now() AT TIME ZONE 'UTC'
 WHERE allocation_id = $1 AND is_active
RETURNING *
