-- Say whether a commit has to wake the relay.
-- $1 whether, $2 epoch -> nothing
UPDATE headwater.relay SET listening = $1 WHERE epoch = $2
