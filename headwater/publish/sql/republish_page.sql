-- The next rows of the outbox in order, whole where they lie in a span. A page of all rows: each costs the same, however few do.
-- $1 published since, $2 published until, $3 {stream: [above, up to]}, $4 after this id, $5 up to this id, $6 at most
-- -> outbox rows; nothing but the id (event_id is null) of those that do not
WITH page AS MATERIALIZED (
    SELECT * FROM headwater.outbox WHERE id > $4 AND id <= $5 ORDER BY id LIMIT $6),
     fit AS (
    SELECT o.* FROM page AS o
     WHERE o.entries <> '' AND o.error IS NULL AND coalesce(o.published_at, $2::timestamptz) BETWEEN $1::timestamptz AND $2
       AND EXISTS (
           SELECT FROM unnest(string_to_array(o.entries, ' ')) AS part,
                       LATERAL (SELECT $3::jsonb -> substring(part FROM '(.*)@') AS b,
                                       string_to_array(substring(part FROM '[^@]*$'), '-')::numeric[] AS entry) AS x
            WHERE b IS NOT NULL AND entry > string_to_array(b ->> 0, '-')::numeric[]
              AND (b ->> 1 = '' OR entry <= string_to_array(b ->> 1, '-')::numeric[])))
SELECT p.id, o.event_id, o.type, o.schema_version, o.tenant, o.key, o.op, o.version, o.target, o.source, o.correlation,
       o.data::text AS data, o.metadata::text AS metadata, o.entries,
       coalesce(to_char(o.said_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '') AS said_at
  FROM page AS p LEFT JOIN fit AS o USING (id)
 ORDER BY p.id
