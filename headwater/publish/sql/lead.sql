-- Become the leader: what earlier leaders still write has no effect, and what they held back is tried again.
-- nothing -> the epoch
WITH released AS (UPDATE headwater.outbox SET held = NULL WHERE held IS NOT NULL)
INSERT INTO headwater.relay AS r (epoch) VALUES (1)
ON CONFLICT (one) DO UPDATE SET epoch = r.epoch + 1, since = clock_timestamp(), listening = true RETURNING epoch
