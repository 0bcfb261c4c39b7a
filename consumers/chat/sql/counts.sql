-- How many errors of each type there are.
-- $1 only those that are open -> (error_type, count)
SELECT error_type, count(*) AS count FROM sync_errors WHERE NOT $1::bool OR NOT resolved
 GROUP BY 1 ORDER BY 2 DESC, 1
