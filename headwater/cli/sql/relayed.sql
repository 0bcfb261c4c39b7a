-- How long events waited for the relay.
-- $1 said since -> seconds of each published one
SELECT extract(epoch FROM published_at - said_at)::float8 AS seconds
  FROM headwater.outbox WHERE said_at >= $1 AND published_at IS NOT NULL
