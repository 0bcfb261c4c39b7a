-- Who compared and repaired what.
-- $1 before, $2 at most, $3 remove: else only count all -> how many
WITH old AS (
    SELECT id FROM headwater.reconcile_event WHERE $3::bool AND at < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM headwater.reconcile_event AS e USING old WHERE e.id = old.id RETURNING 1
)
SELECT CASE WHEN $3 THEN (SELECT count(*) FROM gone) ELSE (SELECT count(*) FROM headwater.reconcile_event WHERE at < $1) END
