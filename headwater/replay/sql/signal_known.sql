-- The loss signals of an application that were acted upon last.
-- $1 app -> (gap, sink, epoch), or no row
SELECT gap, sink, epoch FROM headwater.loss_signal WHERE app = $1
