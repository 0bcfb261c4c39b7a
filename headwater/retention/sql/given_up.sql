-- Groups that hold no stream back any more.
-- nothing -> (name, app or '', silent in seconds)
SELECT name, app, extract(epoch FROM clock_timestamp() - heard_at)::float8 AS silent FROM headwater.reader
 WHERE given_up_at IS NOT NULL ORDER BY name
