-- Records whose e-mail does not open, and no more those that do.
-- ids that do not open, why, ids that do -> nothing
WITH well AS (DELETE FROM customer_sync.quarantine WHERE id = ANY ($3::text[]))
INSERT INTO customer_sync.quarantine (id, reason)
SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (id) DO UPDATE SET reason = excluded.reason
