-- Put a setting in force.
-- $1 name, $2 value -> nothing
INSERT INTO headwater.override AS o (name, value) VALUES ($1::text, $2::text)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, set_by = session_user, set_at = clock_timestamp()
