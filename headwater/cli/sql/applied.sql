-- What an application applied since an instant.
-- $1 app, $2 applied since -> (tenant, key, version, applied_at)
SELECT tenant, key, version, applied_at FROM headwater.ledger WHERE app = $1 AND applied_at >= $2
