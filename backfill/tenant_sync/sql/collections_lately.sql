-- What became of collections in runs that ended lately.
-- $1 seconds, $2 runs at most, the newest -> (name, runs by status, average and the 50th, 95th and 99th percentile in seconds of the completed), by name
SELECT name, count(*) AS runs,
       count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       avg(seconds) AS average, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY seconds) AS percentiles
  FROM (SELECT one.key AS name, one.value ->> 'status' AS status,
               CASE WHEN one.value ->> 'status' = 'completed' THEN (one.value -> 'seconds')::float8 END AS seconds
          FROM (SELECT r.collections FROM crm.tenant_sync_runs AS r
                 WHERE r.ended_at > (SELECT clock_timestamp()) - $1::float8 * interval '1 second'
                   AND r.status IN ('completed', 'failed')
                 ORDER BY r.ended_at DESC LIMIT $2) AS newest, jsonb_each(newest.collections) AS one) AS each_one
 GROUP BY name ORDER BY name
