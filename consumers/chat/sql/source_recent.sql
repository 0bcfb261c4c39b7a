-- Active users changed within the last hour.
-- nothing -> their number
SELECT count(*) FROM users WHERE status::text = 'active' AND updated_at > now() - interval '1 hour'
