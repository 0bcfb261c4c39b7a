-- Let others sweep.
-- -> whether it was held
SELECT pg_advisory_unlock(504447201907)
