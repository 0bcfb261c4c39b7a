-- One taker of names at a time for each application, until the transaction ends.
-- $1 app -> nothing
SELECT pg_advisory_xact_lock(hashtextextended('headwater.worker_name ' || $1, 0))
