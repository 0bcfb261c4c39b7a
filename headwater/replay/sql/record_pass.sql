-- Remember a clean comparison of keys, with the loss signals of the moment before it began. Known differences of content stay.
-- $1 tenant, $2 app, $3 subject, $4 last gap, $5 sink incarnation, $6 epoch -> nothing
WITH agreed AS (
    INSERT INTO headwater.agreement AS a (tenant, app, subject, state, agreed_at, gap, sink, epoch)
    VALUES ($1, $2, $3, 'agreed', clock_timestamp(), $4, $5, $6)
    ON CONFLICT (tenant, app, subject) DO UPDATE
       SET (state, reason, kinds) = (
               SELECT CASE WHEN corrupt IS NULL THEN 'agreed' ELSE 'differing' END, coalesce(corrupt || ' corrupt', ''),
                      json_strip_nulls(json_build_object('corrupt', a.kinds -> 'corrupt'))
                 FROM (SELECT a.kinds ->> 'corrupt' AS corrupt) AS known),
           level = 1, tries = 0, gap = excluded.gap, sink = excluded.sink,
           epoch = excluded.epoch, checked_at = clock_timestamp(), agreed_at = clock_timestamp(), seconds = 0,
           source_count = NULL, applied_count = NULL
     WHERE a.gap <= excluded.gap AND a.epoch <= excluded.epoch
)
INSERT INTO headwater.pass (tenant, app, subject, gap, sink) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant, app, subject) DO UPDATE SET at = clock_timestamp(), gap = excluded.gap, sink = excluded.sink
