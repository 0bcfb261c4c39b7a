-- Make the row of a turn that nobody holds.
-- $1 app -> nothing
INSERT INTO headwater.turn (app, holder, epoch, until) VALUES ($1, '', 0, '-infinity') ON CONFLICT DO NOTHING
