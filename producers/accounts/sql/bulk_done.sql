-- Every user there is, is to be said once: a job for it was queued.
-- -> nothing
UPDATE user_sync.sweep SET bulk_at = clock_timestamp()
