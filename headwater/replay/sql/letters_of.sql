-- Keys for which a dead letter stands that nobody has settled.
-- $1 app, $2 tenant, $3 subject, $4 keys -> (key, letter): the newest of each
SELECT key, max(id) AS letter FROM headwater.dead_letter
 WHERE app = $1 AND state IN ('parked', 'replaying', 'waiting', 'held') AND tenant = $2 AND subject IN ($3, '')
   AND key = ANY ($4::text[])
 GROUP BY key
