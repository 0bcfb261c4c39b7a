-- Columns of a mirrored table and their types.
-- $1 table name -> (name, type)
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type
  FROM pg_attribute AS a
 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
