-- Remember what a comparison said, unless something was lost after it began. Known differences of content stay until all content is compared.
-- $1 tenant, $2 app, $3 subject, $4 state, $5 reason, $6 level, $7 seconds, $8 source count, $9 applied count, $10 kinds, $11 gap, $12 sink, $13 epoch, $14 all content was compared -> nothing
INSERT INTO headwater.agreement AS a (tenant, app, subject, state, reason, level, seconds, source_count, applied_count, kinds,
                                      gap, sink, epoch, tries, agreed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::json, $11, $12, $13,
        CASE $4 WHEN 'agreed' THEN 0 ELSE 1 END, CASE $4 WHEN 'agreed' THEN clock_timestamp() END)
ON CONFLICT (tenant, app, subject) DO UPDATE
   SET (state, reason, kinds) = (
           SELECT CASE WHEN keeps AND excluded.state = 'agreed' THEN 'differing' ELSE excluded.state END,
                  CASE WHEN keeps THEN concat_ws(', ', nullif(excluded.reason, ''), (a.kinds ->> 'corrupt') || ' corrupt') ELSE excluded.reason END,
                  CASE WHEN keeps THEN (excluded.kinds::jsonb || jsonb_build_object('corrupt', a.kinds -> 'corrupt'))::json ELSE excluded.kinds END
             FROM (SELECT NOT $14::bool AND a.kinds -> 'corrupt' IS NOT NULL AND excluded.kinds -> 'corrupt' IS NULL AS keeps) AS known),
       level = excluded.level, seconds = excluded.seconds,
       source_count = excluded.source_count, applied_count = excluded.applied_count,
       gap = excluded.gap, sink = excluded.sink, epoch = excluded.epoch, checked_at = clock_timestamp(),
       agreed_at = coalesce(excluded.agreed_at, a.agreed_at),
       tries = CASE excluded.state WHEN 'agreed' THEN 0 ELSE a.tries + 1 END
 WHERE a.gap <= excluded.gap AND a.epoch <= excluded.epoch
