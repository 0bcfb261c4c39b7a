-- Whether this session is the one that removes things, until it ends.
-- nothing -> true or false
SELECT pg_try_advisory_lock(hashtext('headwater.retention')) AS ours
