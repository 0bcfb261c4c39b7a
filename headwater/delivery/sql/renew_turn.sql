-- Hold a turn longer.
-- $1 app, $2 epoch, $3 seconds -> 1, or no row when somebody else has it
UPDATE headwater.turn SET until = clock_timestamp() + $3::float8 * interval '1 second'
 WHERE app = $1 AND epoch = $2
RETURNING 1
