-- Close gaps of states that a comparison found to be there.
-- $1 app, $2 streams, $3 last gap that the comparison knew of -> ids
UPDATE headwater.gap
   SET state = 'closed', closed_at = clock_timestamp(), repair = CASE repair WHEN '' THEN 'comparison' ELSE repair END,
       note = CASE note WHEN '' THEN 'source and application agree' ELSE note END
 WHERE app = $1 AND stream = ANY ($2::text[]) AND id <= $3 AND state <> 'closed'
RETURNING id
