-- Gaps of an application that nobody repairs.
-- $1 app -> (stream, kind, gaps)
SELECT stream, kind, count(*) AS gaps FROM headwater.gap WHERE app = $1 AND state = 'open' GROUP BY 1, 2
