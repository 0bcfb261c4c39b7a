-- Types of the columns that identify a mirrored row.
-- $1 table, $2 key column -> (name, type) of tenant_id and the key
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type
  FROM pg_attribute AS a
 WHERE a.attrelid = to_regclass($1) AND a.attname IN ('tenant_id', $2) AND NOT a.attisdropped
