-- A run has said everything.
-- $1 id -> nothing
UPDATE headwater.republish SET state = 'done', finished_at = clock_timestamp(), moved_at = clock_timestamp() WHERE id = $1
