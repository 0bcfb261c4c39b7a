-- Put deliveries into the dead letters; the same entry again only refreshes its row, and holding it changes nothing.
-- $1 app, $2.. columns as arrays -> nothing
WITH parked AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                         $10::text[], $11::int[], $12::bigint[], $13::bytea[], $14::text[], $15::text[], $16::bool[],
                         $17::text[], $18::float8[]) WITH ORDINALITY
           AS e (stream, entry, reason, error, event_id, type, tenant, key, job, failures, size, fields, mark, subject,
                 ordered, state, pause, place)
), cleared AS (
    DELETE FROM headwater.failure AS f USING parked AS p
     WHERE f.app = $1 AND f.stream = p.stream AND f.entry = p.entry AND f.mark = p.mark
)
INSERT INTO headwater.dead_letter AS d
       (app, stream, entry, reason, error, event_id, type, tenant, key, job, failures, size, fields, mark, subject,
        ordered, state, retry_at)
SELECT $1, stream, entry, reason, error, event_id, type, tenant, key, job, failures, size, fields, mark, subject,
       ordered, state, clock_timestamp() + pause * interval '1 second'
  FROM parked ORDER BY place
ON CONFLICT (app, stream, entry, mark) DO UPDATE
   SET state = excluded.state, reason = excluded.reason, error = excluded.error, failures = d.failures + 1,
       retry_at = excluded.retry_at, parked_at = clock_timestamp(), settled_at = NULL, taken_until = NULL
 WHERE excluded.state <> 'held'
