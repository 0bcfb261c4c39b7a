-- Record that rows were appended, and up to where: a restart goes on behind them.
-- $1 job, $2 subject, $3 token, $4 checkpoint, $5 read, $6 published, $7 last entries by stream, $8 details, $9 lease in seconds, $10 keys that could not be said, $11 why
-- -> (cancelled, paused); no row when another runner has the job
WITH held AS (
    UPDATE headwater.job SET lease_until = clock_timestamp() + $9::float8 * interval '1 second'
     WHERE id = $1 AND token = $3
    RETURNING cancelled, paused AND state IN ('queued', 'running') AS paused
), refused AS (
    INSERT INTO headwater.job_quarantine (job, subject, key, error)
    SELECT $1, $2, r.key, r.error FROM held, unnest($10::text[], $11::text[]) AS r (key, error)
    ON CONFLICT DO NOTHING RETURNING 1
), chunk AS (
    INSERT INTO headwater.job_chunk (job, subject, number, read, published, appended)
    SELECT $1, $2, coalesce((SELECT max(number) FROM headwater.job_chunk WHERE job = $1 AND subject = $2), 0) + 1, $5, $6, $7::json
      FROM held WHERE $7::text <> '{}' OR $5 > 0
)
UPDATE headwater.job_part AS p
   SET checkpoint = coalesce($4::text[], p.checkpoint), read = p.read + $5, published = p.published + $6,
       failed = p.failed + (SELECT count(*) FROM refused),
       appended = (p.appended::jsonb || $7::text::jsonb)::json,
       details = CASE WHEN $8::text IS NULL THEN p.details ELSE (p.details::jsonb || $8::text::jsonb)::json END
  FROM held
 WHERE p.job = $1 AND p.subject = $2
RETURNING held.cancelled, held.paused
