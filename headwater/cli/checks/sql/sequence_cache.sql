-- How many versions one session draws ahead.
-- nothing -> cache, or no row without the sequence
SELECT seqcache FROM pg_sequence WHERE seqrelid = to_regclass('headwater.version_seq')
