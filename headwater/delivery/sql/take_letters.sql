-- Take dead letters that are to be delivered now: on demand, or the first of an ordered thing. Another worker gets them when this one dies.
-- $1 app, $2 at most, $3 seconds -> (id, stream, entry, fields, failures, tries, ordered) in the order they came
WITH due AS (
    SELECT id FROM headwater.dead_letter AS d
     WHERE app = $1 AND state IN ('replaying', 'waiting', 'held') AND fields IS NOT NULL
       AND (state <> 'waiting' OR retry_at <= clock_timestamp())
       AND (taken_until IS NULL OR taken_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '2 hours')
       AND (NOT ordered OR NOT EXISTS (
                SELECT FROM headwater.dead_letter AS b
                 WHERE b.app = d.app AND b.tenant = d.tenant AND b.subject = d.subject AND b.key = d.key AND b.id < d.id
                   AND b.ordered AND b.state IN ('parked', 'replaying', 'waiting', 'held')))
     ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE headwater.dead_letter AS d
       SET state = 'replaying', taken_until = clock_timestamp() + $3::float8 * interval '1 second', tries = d.tries + 1
      FROM due WHERE d.id = due.id
    RETURNING d.id, d.stream, d.entry, d.fields, d.failures, d.tries, d.ordered
)
SELECT * FROM taken ORDER BY id
