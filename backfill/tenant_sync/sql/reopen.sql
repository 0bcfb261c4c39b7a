-- Let versions through the gate once more whose rows are gone from the table although nobody deleted them.
-- $1 app, $2 tenant, $3 subject, $4 keys, $5 versions -> nothing
UPDATE headwater.ledger AS l SET version = l.version - 1
  FROM unnest($4::text[], $5::bigint[]) AS lost (key, version)
 WHERE l.app = $1 AND l.tenant = $2 AND l.subject = $3 AND l.key = lost.key AND l.version = lost.version
