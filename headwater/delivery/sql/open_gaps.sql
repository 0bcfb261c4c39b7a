-- What an application misses and nobody repairs yet, a row a stream.
-- $1 app -> (stream, gap: the last one's id, since, upto: '' when not known, sure: entries lost for certain)
SELECT stream, max(id) AS gap,
       array_to_string(min(string_to_array(since, '-')::numeric[]), '-') AS since,
       CASE WHEN bool_and(upto <> '') THEN array_to_string(max(string_to_array(nullif(upto, ''), '-')::numeric[]), '-') ELSE '' END
           AS upto,
       sum(CASE WHEN kind IN ('trimmed_unread', 'deleted_while_pending') THEN entries ELSE greatest(entries - 1, 0) END)::bigint
           AS sure
  FROM headwater.gap
 WHERE app = $1 AND state = 'open' AND since <> ''
 GROUP BY stream ORDER BY stream
