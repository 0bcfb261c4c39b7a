-- Whether an event said by then is on no stream yet.
-- $1 outbox id -> true or false
SELECT EXISTS (SELECT FROM headwater.outbox WHERE published_at IS NULL AND error IS NULL AND id <= $1) AS waits
