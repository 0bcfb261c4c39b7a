-- Keep others from looking for losses until this transaction ends.
-- $1 app -> nothing
SELECT pg_advisory_xact_lock(hashtext('headwater.watch'), hashtext($1))
