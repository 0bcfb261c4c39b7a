-- What matters of a Postgres server.
-- nothing -> (number, version, now, the settings that decide whether a commit survives a crash)
SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
       extract(epoch FROM clock_timestamp())::float8 AS now, current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       pg_is_in_recovery() AS replica
