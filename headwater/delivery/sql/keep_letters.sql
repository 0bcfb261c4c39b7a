-- Hold taken letters longer.
-- $1 ids, $2 tries of each, $3 seconds -> nothing
UPDATE headwater.dead_letter AS d SET taken_until = clock_timestamp() + $3::float8 * interval '1 second'
  FROM unnest($1::bigint[], $2::int[]) AS e (id, tries)
 WHERE d.id = e.id AND d.tries = e.tries AND d.state = 'replaying'
