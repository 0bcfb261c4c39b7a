-- Write what became of a replayed dead letter.
-- $1 id, $2 state, $3 reason or null, $4 error or null -> nothing
UPDATE headwater.dead_letter
   SET state = $2, settled_at = CASE WHEN $2 = 'replayed' THEN clock_timestamp() END, taken_until = NULL,
       failures = failures + CASE WHEN $2 = 'parked' THEN 1 ELSE 0 END,
       reason = coalesce($3, reason), error = coalesce($4, error)
 WHERE id = $1 AND state = 'replaying'
