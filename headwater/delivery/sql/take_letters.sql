-- Take dead letters that somebody asked to replay; another worker gets them when this one dies.
-- $1 app, $2 at most -> (id, stream, entry, fields, failures) in key order of arrival
WITH due AS (
    SELECT id FROM headwater.dead_letter
     WHERE app = $1 AND state = 'replaying' AND (taken_until IS NULL OR taken_until < clock_timestamp())
     ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE headwater.dead_letter AS d SET taken_until = clock_timestamp() + interval '60 seconds'
      FROM due WHERE d.id = due.id
    RETURNING d.id, d.stream, d.entry, d.fields, d.failures
)
SELECT * FROM taken ORDER BY id
