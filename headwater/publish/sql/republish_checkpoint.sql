-- How far a run got; nothing of one that has ended.
-- $1 id, $2 position, $3 rows said, $4 entries, $5 skipped, $6 refused, $7 reached, $8 refusing streams -> id
UPDATE headwater.republish
   SET position = $2, rows_said = $3, entries = $4, skipped = $5, refused = $6, reached = $7::text::json, refusing = $8,
       moved_at = clock_timestamp()
 WHERE id = $1 AND state = 'running'
RETURNING id
