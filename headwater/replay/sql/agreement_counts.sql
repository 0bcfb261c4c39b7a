-- How many subjects of tenants agree, differ or are unknown, by application.
-- nothing -> (app, state, count)
SELECT app, state, count(*) AS count FROM headwater.agreement GROUP BY app, state
