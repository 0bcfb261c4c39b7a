-- Marks of deleted things. What somebody writes at this moment is passed by: nobody waits.
-- $1 app, $2 before, $3 from page, $4 to page, $5 remove: else only count -> how many
WITH old AS (
    SELECT t.ctid AS place FROM headwater.ledger AS t
     WHERE $5::bool AND t.ctid >= format('(%s,0)', $3::bigint)::tid AND t.ctid < format('(%s,0)', $4::bigint)::tid
       AND t.app = $1 AND t.deleted AND t.applied_at < $2
       FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM headwater.ledger AS t USING old WHERE t.ctid = old.place RETURNING 1
)
SELECT CASE WHEN $5 THEN (SELECT count(*) FROM gone) ELSE (
    SELECT count(*) FROM headwater.ledger AS t
     WHERE t.ctid >= format('(%s,0)', $3::bigint)::tid AND t.ctid < format('(%s,0)', $4::bigint)::tid
       AND t.app = $1 AND t.deleted AND t.applied_at < $2) END
