-- End our sessions whose process stands still in the middle of a statement, for longer than it may idle.
-- (nothing) -> how many; a COPY is left alone, because it may wait for its rows, and 0 as the limit means never
SELECT count(pg_terminate_backend(pid))
  FROM pg_stat_activity,
       (SELECT current_setting('idle_in_transaction_session_timeout')::interval AS longest) AS limits
 WHERE datname = current_database() AND usename = current_user AND application_name = 'headwater'
   AND pid <> pg_backend_pid() AND backend_type = 'client backend'
   AND state = 'active' AND wait_event = 'ClientRead' AND query !~* '^\s*copy'
   AND longest > interval '0' AND query_start < clock_timestamp() - longest
