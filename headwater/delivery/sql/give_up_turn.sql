-- Let go of a turn.
-- $1 app, $2 epoch -> nothing
UPDATE headwater.turn SET until = '-infinity' WHERE app = $1 AND epoch = $2
