-- Every user there is has been said once.
-- -> nothing
UPDATE user_sync.sweep SET bulk_at = clock_timestamp()
