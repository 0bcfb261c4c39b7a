-- Hold a name on, also after its lease ran out as long as nobody took it, and tell that the application lives.
-- $1 app, $2 name, $3 token, $4 seconds -> the name; no row when another one has it
WITH seen AS (
    INSERT INTO headwater.presence (app) VALUES ($1)
    ON CONFLICT (app) DO UPDATE SET seen_at = clock_timestamp()
)
UPDATE headwater.worker_name SET lease_until = clock_timestamp() + make_interval(secs => $4)
 WHERE app = $1 AND name = $2 AND token = $3
RETURNING name
