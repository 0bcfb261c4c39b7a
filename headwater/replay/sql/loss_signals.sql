-- What tells that an application may have lost something: its last gap, which database it is, when it last applied, a tenant's dead letters.
-- $1 app, $2 tenant -> (gap, sink, applied_at or null, parked)
SELECT (SELECT coalesce(max(id), 0) FROM headwater.gap WHERE app = $1) AS gap,
       (SELECT incarnation::text FROM headwater.sink) AS sink,
       (SELECT max(applied_at) FROM headwater.position WHERE app = $1) AS applied_at,
       (SELECT count(*) FROM headwater.dead_letter WHERE app = $1 AND tenant = $2 AND state IN ('parked', 'replaying', 'waiting', 'held')) AS parked
