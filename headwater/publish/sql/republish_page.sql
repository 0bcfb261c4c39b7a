-- The next rows of a span, in order.
-- $1 published since, $2 published until, $3 {stream: [above, up to]}, $4 after this id, $5 up to this id, $6 at most -> outbox rows
SELECT o.id, o.event_id, o.type, o.schema_version, o.tenant, o.key, o.op, o.version, o.target, o.source, o.correlation,
       o.data::text AS data, o.metadata::text AS metadata, o.entries,
       coalesce(to_char(o.said_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '') AS said_at
  FROM headwater.outbox AS o
 WHERE o.id > $4 AND o.id <= $5
   AND o.entries <> '' AND o.error IS NULL AND coalesce(o.published_at, $2::timestamptz) BETWEEN $1::timestamptz AND $2
   AND EXISTS (
       SELECT FROM unnest(string_to_array(o.entries, ' ')) AS part,
                   LATERAL (SELECT $3::jsonb -> substring(part FROM '(.*)@') AS b,
                                   string_to_array(substring(part FROM '[^@]*$'), '-')::numeric[] AS entry) AS x
        WHERE b IS NOT NULL AND entry > string_to_array(b ->> 0, '-')::numeric[]
          AND (b ->> 1 = '' OR entry <= string_to_array(b ->> 1, '-')::numeric[]))
 ORDER BY o.id
 LIMIT $6
