-- What became of collections in runs that ended lately.
-- $1 seconds -> (name, runs by status, average and the 50th, 95th and 99th percentile in seconds of the completed), by name
SELECT one.key AS name, count(*) AS runs,
       count(*) FILTER (WHERE one.value ->> 'status' = 'completed') AS completed,
       count(*) FILTER (WHERE one.value ->> 'status' = 'failed') AS failed,
       avg((one.value ->> 'seconds')::float8) FILTER (WHERE one.value ->> 'status' = 'completed') AS average,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY (one.value ->> 'seconds')::float8)
           FILTER (WHERE one.value ->> 'status' = 'completed') AS percentiles
  FROM crm.tenant_sync_runs AS r, jsonb_each(r.collections) AS one
 WHERE r.ended_at > (SELECT clock_timestamp()) - $1::float8 * interval '1 second' AND r.status IN ('completed', 'failed')
 GROUP BY one.key ORDER BY one.key
