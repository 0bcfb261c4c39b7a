-- What is remembered of streams.
-- $1 app -> marks
SELECT stream, added, last, deleted, trimmed, floor, unsettled FROM headwater.mark WHERE app = $1
