-- How fast a job's latest chunks were read.
-- $1 job -> (rows, seconds)
SELECT coalesce(sum(read) FILTER (WHERE place > 1), 0) AS rows,
       coalesce(extract(epoch FROM max(at) - min(at)), 0)::float8 AS seconds
  FROM (SELECT read, at, row_number() OVER (ORDER BY at) AS place
          FROM (SELECT read, at FROM headwater.job_chunk WHERE job = $1 ORDER BY at DESC LIMIT 50) AS newest) AS latest
