-- Forget the failures of entries that are settled.
-- $1 app, $2 streams, $3 entries, $4 marks -> nothing
DELETE FROM headwater.failure AS f USING unnest($2::text[], $3::text[], $4::text[]) AS e (stream, entry, mark)
 WHERE f.app = $1 AND f.stream = e.stream AND f.entry = e.entry AND f.mark = e.mark
