-- Tenants for which an application was ever backfilled or compared.
-- $1 app -> tenants
SELECT tenant FROM headwater.job WHERE app = $1
 UNION
SELECT tenant FROM headwater.agreement WHERE app = $1
