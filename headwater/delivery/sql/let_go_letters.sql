-- Give taken letters back that are not settled: their taker did not end, it only could not go on.
-- $1 ids, $2 tries of each -> nothing
UPDATE headwater.dead_letter AS d SET taken_until = NULL, tries = (d.tries / 1000 + 1) * 1000
  FROM unnest($1::bigint[], $2::int[]) AS e (id, tries)
 WHERE d.id = e.id AND d.tries = e.tries AND d.state = 'replaying'
