-- Remember a clean comparison, with the loss signals it knew of.
-- $1 tenant, $2 app, $3 subject, $4 last gap, $5 sink incarnation -> nothing
INSERT INTO headwater.pass (tenant, app, subject, gap, sink) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant, app, subject) DO UPDATE SET at = clock_timestamp(), gap = excluded.gap, sink = excluded.sink
