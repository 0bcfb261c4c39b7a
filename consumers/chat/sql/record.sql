-- Write an error down.
-- $1 type, $2 user or null, $3 message, $4 stack or null, $5 more as JSON -> nothing
INSERT INTO sync_errors (error_type, user_id, error_message, error_stack, additional_data)
VALUES ($1, $2, $3, $4, $5::text::jsonb)
