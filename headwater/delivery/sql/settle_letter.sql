-- Write what became of a delivered dead letter. Its tries begin anew, at a number that no taker had before.
-- $1 id, $2 tries, $3 state, $4 reason or null, $5 error or null, $6 seconds until the next try or null, $7 failures more -> nothing
UPDATE headwater.dead_letter
   SET state = $3, settled_at = CASE WHEN $3 = 'replayed' THEN clock_timestamp() END, taken_until = NULL, tries = (tries / 1000 + 1) * 1000,
       failures = failures + $7, reason = coalesce($4, reason), error = coalesce($5, error),
       retry_at = clock_timestamp() + $6::float8 * interval '1 second'
 WHERE id = $1 AND tries = $2 AND state = 'replaying'
