-- Rows of the outbox that were published.
-- $1 before, $2 at most, $3 remove: else only count all -> how many
WITH old AS (
    SELECT id FROM headwater.outbox WHERE $3::bool AND published_at < $1 ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM headwater.outbox AS o USING old WHERE o.id = old.id RETURNING 1
)
SELECT CASE WHEN $3 THEN (SELECT count(*) FROM gone) ELSE (SELECT count(*) FROM headwater.outbox WHERE published_at < $1) END
