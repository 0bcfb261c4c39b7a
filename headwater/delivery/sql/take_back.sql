-- Take back a count of attempts alone: the worker did not end, it only could not go on.
-- $1 app, $2 stream, $3 entry, $4 mark -> nothing
UPDATE headwater.failure SET crashes = greatest(0, crashes - 1)
 WHERE app = $1 AND stream = $2 AND entry = $3 AND mark = $4
