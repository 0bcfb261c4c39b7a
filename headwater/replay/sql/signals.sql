-- Loss signals of an application: the last gap, whether one is not closed, and which database it is.
-- $1 app -> (gap, open, sink)
SELECT (SELECT coalesce(max(id), 0) FROM headwater.gap WHERE app = $1) AS gap,
       EXISTS (SELECT FROM headwater.gap WHERE app = $1 AND state <> 'closed') AS open,
       (SELECT incarnation::text FROM headwater.sink) AS sink
