-- Column lists that a table's rows are unique by, for every one of them.
-- $1 table -> (columns sorted, primary)
SELECT ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = ANY (i.indkey::int2[]) ORDER BY attname)
           AS columns, i.indisprimary AS "primary"
  FROM pg_index AS i
 WHERE i.indrelid = to_regclass($1::text) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
