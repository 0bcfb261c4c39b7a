-- Let versions through the gate once more although their rows are there: what stands in them is to be written again.
-- $1 tenant, $2 app, $3 subject, $4 keys, $5 versions -> nothing
UPDATE headwater.ledger AS l SET version = l.version - 1
  FROM unnest($4::text[], $5::bigint[]) AS wrong (key, version)
 WHERE l.tenant = $1 AND l.app = $2 AND l.subject = $3 AND l.key = wrong.key AND l.version = wrong.version AND NOT l.deleted
