-- Which of these indexes there are, and whether they are whole: one whose building was cut off is not.
-- $1 names -> (name, valid)
SELECT c.relname::text AS name, i.indisvalid AS valid
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
 WHERE c.relname = ANY ($1::text[]) AND i.indrelid IN (to_regclass('users'), to_regclass('headwater.tombstone'))
