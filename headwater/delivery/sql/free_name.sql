-- Give a name back.
-- $1 app, $2 name, $3 token -> nothing
UPDATE headwater.worker_name SET lease_until = clock_timestamp()
 WHERE app = $1 AND name = $2 AND token = $3
