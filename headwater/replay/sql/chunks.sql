-- What became of a job's chunks, as far as a group is on each stream.
-- $1 job, $2 streams, $3 last delivered as ms,seq, $4 applied up to as ms,seq -> (subject, chunks, delivered, applied) in rows
WITH floor AS (
    SELECT f.stream, string_to_array(f.delivered, ',')::bigint[] AS delivered, string_to_array(f.applied, ',')::bigint[] AS applied
      FROM unnest($2::text[], $3::text[], $4::text[]) AS f (stream, delivered, applied)
), chunk AS (
    SELECT c.subject, c.published,
           (SELECT bool_and(coalesce(string_to_array(e.value, '-')::bigint[] <= f.delivered, false))
              FROM json_each_text(c.appended) AS e LEFT JOIN floor AS f ON f.stream = e.key) AS delivered,
           (SELECT bool_and(coalesce(string_to_array(e.value, '-')::bigint[] <= f.applied, false))
              FROM json_each_text(c.appended) AS e LEFT JOIN floor AS f ON f.stream = e.key) AS applied
      FROM headwater.job_chunk AS c WHERE c.job = $1
)
SELECT subject, count(*) AS chunks, coalesce(sum(published) FILTER (WHERE delivered), 0) AS delivered,
       coalesce(sum(published) FILTER (WHERE applied), 0) AS applied
  FROM chunk GROUP BY subject
