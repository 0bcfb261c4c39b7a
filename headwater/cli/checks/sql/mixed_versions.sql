-- Subjects whose things carry versions of both kinds: drawn from the sequence (2^48 and more), and times.
-- $1 app -> (subject, smallest, largest)
SELECT subject, min(version) AS smallest, max(version) AS largest FROM headwater.ledger
 WHERE app = $1 GROUP BY subject HAVING min(version) < 1::bigint << 48 AND max(version) >= 1::bigint << 48
