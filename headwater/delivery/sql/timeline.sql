-- Which server wrote this, and on which of its histories: a promoted standby or a restored backup begins another one.
-- nothing -> text
SELECT system_identifier::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline FROM pg_control_system()
