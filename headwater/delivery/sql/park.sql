-- Put deliveries into the dead letters; the same entry again only refreshes its row.
-- $1 app, $2.. columns as arrays -> nothing
WITH parked AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                         $10::text[], $11::int[], $12::bigint[], $13::bytea[])
           AS e (stream, entry, reason, error, event_id, type, tenant, key, job, failures, size, fields)
), cleared AS (
    DELETE FROM headwater.failure AS f USING parked AS p WHERE f.app = $1 AND f.stream = p.stream AND f.entry = p.entry
)
INSERT INTO headwater.dead_letter AS d
       (app, stream, entry, reason, error, event_id, type, tenant, key, job, failures, size, fields)
SELECT $1, stream, entry, reason, error, event_id, type, tenant, key, job, failures, size, fields
  FROM parked ORDER BY stream, entry
ON CONFLICT (app, stream, entry) DO UPDATE
   SET state = 'parked', reason = excluded.reason, error = excluded.error, failures = d.failures + 1,
       parked_at = clock_timestamp(), settled_at = NULL, taken_until = NULL
