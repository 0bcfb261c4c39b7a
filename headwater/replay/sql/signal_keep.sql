-- Remember the loss signals that were acted upon.
-- $1 app, $2 gap, $3 sink, $4 epoch -> nothing
INSERT INTO headwater.loss_signal (app, gap, sink, epoch) VALUES ($1, $2, $3, $4)
ON CONFLICT (app) DO UPDATE SET gap = excluded.gap, sink = excluded.sink, epoch = excluded.epoch
