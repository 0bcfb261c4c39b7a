-- Triggers on `users` that are not headwater's own, and what they run.
-- -> (name, function, source, statement: whether once a statement, enabled, events: insert, update, delete all three)
SELECT t.tgname::text AS name, p.proname::text AS function, p.prosrc AS source, (t.tgtype & 1) = 0 AS statement,
       t.tgenabled IN ('O', 'A') AS enabled, (t.tgtype & 28) = 28 AS events
  FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
 WHERE t.tgrelid = to_regclass('users') AND NOT t.tgisinternal AND t.tgname NOT LIKE 'zz\_headwater\_%'
 ORDER BY t.tgname
