-- Gaps that are closed; the last one stays, comparisons ask for its number.
-- $1 app, $2 before, $3 from page, $4 to page, $5 remove: else only count -> how many
WITH old AS (
    SELECT t.ctid AS place FROM headwater.gap AS t
     WHERE $5::bool AND t.ctid >= format('(%s,0)', $3::bigint)::tid AND t.ctid < format('(%s,0)', $4::bigint)::tid
       AND t.app = $1 AND t.state = 'closed' AND t.closed_at < $2 AND t.id < (SELECT max(id) FROM headwater.gap WHERE app = $1)
       FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM headwater.gap AS t USING old WHERE t.ctid = old.place RETURNING 1
)
SELECT CASE WHEN $5 THEN (SELECT count(*) FROM gone) ELSE (
    SELECT count(*) FROM headwater.gap AS t
     WHERE t.ctid >= format('(%s,0)', $3::bigint)::tid AND t.ctid < format('(%s,0)', $4::bigint)::tid
       AND t.app = $1 AND t.state = 'closed' AND t.closed_at < $2 AND t.id < (SELECT max(id) FROM headwater.gap WHERE app = $1)) END
