-- Ended backfills with their parts and audit trail; the last of each tenant and application stays.
-- $1 before, $2 at most, $3 remove: else only count all -> how many
WITH ended AS (
    SELECT id FROM headwater.job AS j
     WHERE finished_at < $1 AND EXISTS (
           SELECT FROM headwater.job AS later
            WHERE later.tenant = j.tenant AND later.app = j.app AND later.created_at > j.created_at)
), old AS (
    SELECT id FROM ended WHERE $3::bool LIMIT $2
), gone AS (
    DELETE FROM headwater.job AS j USING old WHERE j.id = old.id RETURNING 1
)
SELECT CASE WHEN $3 THEN (SELECT count(*) FROM gone) ELSE (SELECT count(*) FROM ended) END
