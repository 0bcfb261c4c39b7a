-- Of some things those with a letter that is not settled: what comes now has to wait behind it.
-- $1 app, $2 tenants, $3 subjects, $4 keys -> (tenant, subject, key)
SELECT DISTINCT d.tenant, d.subject, d.key
  FROM headwater.dead_letter AS d
  JOIN unnest($2::text[], $3::text[], $4::text[]) AS e (tenant, subject, key) USING (tenant, subject, key)
 WHERE d.app = $1 AND d.ordered AND d.state IN ('parked', 'replaying', 'waiting', 'held')
