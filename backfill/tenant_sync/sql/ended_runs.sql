-- Runs that ended lately: by method and whether it was a fallback, by method, and all (where method is null). Durations are of completed ones.
-- $1 seconds -> (method, fallback, numbers, average, maximum and the 50th, 95th and 99th percentile in seconds, of the whole and of the essential part)
SELECT sync_method AS method, fallback_used AS fallback, count(*) AS total,
       count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'superseded') AS superseded,
       avg(whole) AS average, max(whole) AS longest,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY whole) AS percentiles,
       avg(essential) AS essential_average, max(essential) AS essential_longest,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY essential) AS essential_percentiles
  FROM (SELECT sync_method, fallback_used, status,
               CASE WHEN status = 'completed' THEN extract(epoch FROM ended_at - started_at)::float8 END AS whole,
               CASE WHEN status = 'completed' THEN extract(epoch FROM essential_at - started_at)::float8 END AS essential
          FROM crm.tenant_sync_runs
         WHERE ended_at > (SELECT clock_timestamp()) - $1::float8 * interval '1 second') AS run
 GROUP BY GROUPING SETS ((sync_method, fallback_used), (sync_method), ())
 ORDER BY sync_method NULLS FIRST, fallback_used NULLS FIRST
