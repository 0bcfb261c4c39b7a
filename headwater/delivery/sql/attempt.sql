-- Write down that an entry is about to be tried alone: whoever ends the worker with it leaves this count.
-- $1 app, $2 stream, $3 entry, $4 mark, $5 error -> how many such attempts ended without an outcome
INSERT INTO headwater.failure AS f (app, stream, entry, mark, failures, crashes, retry_at, error)
VALUES ($1, $2, $3, $4, 0, 1, clock_timestamp(), $5)
ON CONFLICT (app, stream, entry, mark) DO UPDATE
   SET crashes = f.crashes + 1, retry_at = clock_timestamp(), error = excluded.error
RETURNING crashes - 1
