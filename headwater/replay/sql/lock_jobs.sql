-- Let nobody else queue jobs of an application meanwhile; to the end of the transaction.
-- $1 tenant, $2 app -> nothing
SELECT pg_advisory_xact_lock(hashtextextended('headwater.job ' || $1::text || ' ' || $2::text, 0))
