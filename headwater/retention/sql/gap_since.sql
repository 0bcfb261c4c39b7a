-- From when on a gap that is not closed misses entries.
-- $1 app, $2 seconds after which a gap asks for nothing any more -> instant or null
SELECT min(CASE WHEN since ~ '^\d{1,15}-\d+$' THEN to_timestamp(split_part(since, '-', 1)::bigint / 1000.0) ELSE '-infinity' END)
       - interval '10 minutes'
  FROM headwater.gap
 WHERE app = $1 AND state <> 'closed' AND detected_at > clock_timestamp() - $2::float8 * interval '1 second'
