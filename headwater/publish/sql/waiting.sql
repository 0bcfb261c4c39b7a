-- The oldest events that are on no stream yet. A flag, not a cursor: a row whose transaction commits late is not passed over.
-- $1 at most, $2 ids that are under way already, $3 signs of data at most -> outbox rows in order
SELECT id, event_id, type, schema_version, tenant, key, op, version, target, source, correlation,
       left(data::text, $3) AS data, left(metadata::text, $3) AS metadata, entries,
       coalesce(to_char(said_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '') AS said_at
  FROM headwater.outbox
 WHERE published_at IS NULL AND error IS NULL AND held IS NULL AND id <> ALL ($2::bigint[])
 ORDER BY id
 LIMIT $1
