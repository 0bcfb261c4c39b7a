-- Names whose lease ran out and that nobody took since.
-- $1 app -> (name)
SELECT name FROM headwater.worker_name WHERE app = $1 AND lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '2 hours'
