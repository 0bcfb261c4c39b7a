-- Ended runs that said rows of the outbox again.
-- $1 before, $2 at most, $3 remove: else only count all -> how many
WITH old AS (
    SELECT id FROM headwater.republish WHERE $3::bool AND state = 'done' AND finished_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM headwater.republish AS r USING old WHERE r.id = old.id RETURNING 1
)
SELECT CASE WHEN $3 THEN (SELECT count(*) FROM gone)
            ELSE (SELECT count(*) FROM headwater.republish WHERE state = 'done' AND finished_at < $1) END
