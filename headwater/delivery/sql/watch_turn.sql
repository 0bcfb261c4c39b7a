-- Whether this transaction is the one that looks for losses now; two that look at once would take each other's marks for losses.
-- $1 app -> true or false
SELECT pg_try_advisory_xact_lock(hashtext('headwater.watch'), hashtext($1)) AS ours
