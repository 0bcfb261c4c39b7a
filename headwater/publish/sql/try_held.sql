-- Let the oldest event go on that one stream refused, to see whether it still does.
-- $1 stream, $2 epoch -> its id, nothing when none is held
UPDATE headwater.outbox SET held = NULL
 WHERE id = (SELECT id FROM headwater.outbox WHERE held = $1 ORDER BY id LIMIT 1)
   AND EXISTS (SELECT FROM headwater.relay WHERE epoch = $2)
RETURNING id
