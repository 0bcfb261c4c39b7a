-- The columns of `users`.
-- -> one name a row; none: there is no such table
SELECT attname::text AS name FROM pg_attribute
 WHERE attrelid = to_regclass('users') AND attnum > 0 AND NOT attisdropped
