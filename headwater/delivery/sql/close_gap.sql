-- Close a gap by hand.
-- $1 app, $2 id, $3 note -> id, when there is one that was not closed
UPDATE headwater.gap
   SET state = 'closed', repair = CASE repair WHEN '' THEN 'hand' ELSE repair END, closed_at = clock_timestamp(), note = $3
 WHERE app = $1 AND id = $2::bigint AND state <> 'closed'
RETURNING id
