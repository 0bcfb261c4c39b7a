-- Be the only one that sweeps, if nobody else does.
-- -> whether it is so
SELECT pg_try_advisory_lock(504447201907)
