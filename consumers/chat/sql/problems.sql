-- The newest errors.
-- $1 only those that are open, $2 type or null, $3 at most -> rows of sync_errors
SELECT id, error_type, user_id, error_message, error_stack, additional_data::text AS additional_data,
       created_at::timestamptz AS created_at, resolved, resolved_at::timestamptz AS resolved_at, retry_count
  FROM sync_errors
 WHERE (NOT $1::bool OR NOT resolved) AND ($2::text IS NULL OR error_type = $2)
 ORDER BY sync_errors.created_at DESC, id DESC LIMIT $3
