-- Let nobody else take a job meanwhile, so that the jobs at once are counted exactly; to the end of the transaction.
-- nothing -> nothing
SELECT pg_advisory_xact_lock(hashtextextended('headwater.job claims', 0))
