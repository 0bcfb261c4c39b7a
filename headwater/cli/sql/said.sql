-- States said since an instant.
-- $1 said since -> (tenant, key, version, said_at)
SELECT tenant, key, version, said_at FROM headwater.outbox WHERE said_at >= $1 AND version IS NOT NULL
