-- Write how far this worker got, in the transaction that applied.
-- $1 app, $2 consumer name, $3 streams, $4 entries -> nothing
INSERT INTO headwater.position AS p (app, consumer, stream, entry)
SELECT $1, $2, e.stream, e.entry FROM unnest($3::text[], $4::text[]) AS e (stream, entry) ORDER BY e.stream
ON CONFLICT (app, stream, consumer) DO UPDATE SET entry = excluded.entry, applied_at = clock_timestamp()
