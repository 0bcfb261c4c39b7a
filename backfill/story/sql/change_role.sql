-- Change what a role allows.
-- $1 id, $2 permissions -> the row, or none
UPDATE custom_roles SET permissions = $2::text::jsonb, updated_at = now() AT TIME ZONE 'UTC' WHERE role_id = $1 RETURNING *
