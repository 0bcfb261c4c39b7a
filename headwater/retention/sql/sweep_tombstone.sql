-- Tombstones of the source.
-- $1 before, $2 at most, $3 remove: else only count all -> how many
WITH old AS (
    SELECT subject, tenant, key FROM headwater.tombstone WHERE $3::bool AND deleted_at < $1
     ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM headwater.tombstone AS t USING old
     WHERE (t.subject, t.tenant, t.key) = (old.subject, old.tenant, old.key) AND t.deleted_at < $1 RETURNING 1
)
SELECT CASE WHEN $3 THEN (SELECT count(*) FROM gone) ELSE (SELECT count(*) FROM headwater.tombstone WHERE deleted_at < $1) END
