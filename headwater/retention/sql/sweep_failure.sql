-- Failures of entries that are on no stream any more.
-- $1 app, $2 before, $3 from page, $4 to page, $5 remove: else only count -> how many
WITH old AS (
    SELECT t.ctid AS place FROM headwater.failure AS t
     WHERE $5::bool AND t.ctid >= format('(%s,0)', $3::bigint)::tid AND t.ctid < format('(%s,0)', $4::bigint)::tid
       AND t.app = $1 AND t.retry_at < $2
       FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM headwater.failure AS t USING old WHERE t.ctid = old.place RETURNING 1
)
SELECT CASE WHEN $5 THEN (SELECT count(*) FROM gone) ELSE (
    SELECT count(*) FROM headwater.failure AS t
     WHERE t.ctid >= format('(%s,0)', $3::bigint)::tid AND t.ctid < format('(%s,0)', $4::bigint)::tid
       AND t.app = $1 AND t.retry_at < $2) END
