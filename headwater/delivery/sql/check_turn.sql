-- Whether a turn is still held; until this transaction ends nobody can take it, but it can be renewed.
-- $1 app, $2 epoch -> 1 or no row
SELECT 1 FROM headwater.turn WHERE app = $1 AND epoch = $2 FOR KEY SHARE
