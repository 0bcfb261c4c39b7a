-- How many dead letters wait for a person.
-- $1 app -> count
SELECT count(*) FROM headwater.dead_letter WHERE app = $1 AND state = 'parked'
