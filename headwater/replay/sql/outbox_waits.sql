-- Whether an event said by then is on no stream yet.
-- $1 outbox id -> true or false
SELECT EXISTS (SELECT FROM headwater.outbox WHERE published_at IS NULL AND error IS NULL AND held IS NULL AND id <= $1)
    OR EXISTS (SELECT FROM headwater.outbox WHERE held IS NOT NULL AND id <= $1) AS waits
