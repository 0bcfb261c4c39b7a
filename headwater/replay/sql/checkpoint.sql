-- Record that rows were appended, and up to where: a restart goes on behind them.
-- $1 job, $2 subject, $3 token, $4 checkpoint, $5 published, $6 failed, $7 last entries by stream, $8 details, $9 lease in seconds
-- -> cancelled; no row when another runner has the job
WITH held AS (
    UPDATE headwater.job SET lease_until = clock_timestamp() + $9::float8 * interval '1 second'
     WHERE id = $1 AND token = $3 RETURNING cancelled
)
UPDATE headwater.job_part AS p
   SET checkpoint = coalesce($4::text[], p.checkpoint), published = p.published + $5, failed = p.failed + $6,
       appended = (p.appended::jsonb || $7::text::jsonb)::json,
       details = CASE WHEN $8::text IS NULL THEN p.details ELSE (p.details::jsonb || $8::text::jsonb)::json END
  FROM held
 WHERE p.job = $1 AND p.subject = $2
RETURNING held.cancelled
