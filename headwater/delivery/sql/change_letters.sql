-- Ask for a replay of dead letters that are not settled, or discard them. What is held can not be replayed out of its turn.
-- $1 app, $2 ids, $3 new state, $4 note -> the ids changed
UPDATE headwater.dead_letter
   SET state = $3, note = CASE WHEN $4 = '' THEN note ELSE $4 END,
       settled_at = CASE WHEN $3 = 'discarded' THEN clock_timestamp() END
 WHERE app = $1 AND id = ANY ($2::bigint[])
   AND (state IN ('parked', 'waiting') AND ($3 = 'discarded' OR fields IS NOT NULL)
        OR state = 'held' AND $3 = 'discarded')
RETURNING id
