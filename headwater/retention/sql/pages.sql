-- How many pages a table has.
-- $1 table -> pages
SELECT (pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint)::bigint
