-- Active users of the source, in order.
-- $1 after this id or null, $2 at most -> (id)
SELECT id::text FROM users WHERE status::text = 'active' AND ($1::text IS NULL OR id > $1::text::uuid) ORDER BY users.id LIMIT $2
