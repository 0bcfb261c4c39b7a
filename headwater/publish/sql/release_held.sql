-- Let all events go on that one stream refused.
-- $1 stream, $2 epoch -> nothing
UPDATE headwater.outbox SET held = NULL WHERE held = $1 AND EXISTS (SELECT FROM headwater.relay WHERE epoch = $2)
