-- How much of the outbox lies in a span: published in time, on one of its streams, within that stream's bounds.
-- $1 published since, $2 published until, $3 {stream: [above, up to]} -> rows, first and last id, removed: rows published by then may be gone
SELECT count(*) AS rows, coalesce(min(o.id), 1) AS first, coalesce(max(o.id), 0) AS last,
       (SELECT removed_until FROM headwater.outbox_floor) AS removed
  FROM headwater.outbox AS o
 WHERE o.entries <> '' AND o.error IS NULL AND coalesce(o.published_at, $2::timestamptz) BETWEEN $1::timestamptz AND $2
   AND EXISTS (
       SELECT FROM unnest(string_to_array(o.entries, ' ')) AS part,
                   LATERAL (SELECT $3::jsonb -> substring(part FROM '(.*)@') AS b,
                                   string_to_array(substring(part FROM '[^@]*$'), '-')::numeric[] AS entry) AS x
        WHERE b IS NOT NULL AND entry > string_to_array(b ->> 0, '-')::numeric[]
          AND (b ->> 1 = '' OR entry <= string_to_array(b ->> 1, '-')::numeric[]))
