-- The oldest transaction that has written, was open before one, and still is. The age is null where this role may not see it.
-- $1 transaction as text -> (pid, application, role, database, prepared, seconds), or no row
SELECT pid, application, role, database, prepared, extract(epoch FROM clock_timestamp() - since)::float8 AS seconds
  FROM (
    SELECT pid, application_name AS application, usename::text AS role, datname::text AS database,
           NULL::text AS prepared, xact_start AS since, backend_xid AS xid
      FROM pg_stat_activity WHERE backend_xid IS NOT NULL
     UNION ALL
    SELECT NULL, NULL, owner::text, database::text, gid, prepared, transaction FROM pg_prepared_xacts
  ) AS w
 WHERE age(w.xid) > age($1::text::xid8::xid) ORDER BY age(w.xid) DESC LIMIT 1
