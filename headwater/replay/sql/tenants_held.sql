-- Tenants of which an application has anything: one step of the index for each.
-- $1 app -> tenants
WITH RECURSIVE one AS (
    (SELECT tenant FROM headwater.ledger WHERE app = $1 ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT l.tenant FROM headwater.ledger AS l WHERE l.app = $1 AND l.tenant > one.tenant ORDER BY l.tenant LIMIT 1)
      FROM one WHERE one.tenant IS NOT NULL
)
SELECT tenant FROM one WHERE tenant IS NOT NULL
