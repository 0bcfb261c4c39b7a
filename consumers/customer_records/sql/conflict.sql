-- A conflict; an open one of the same record takes its place.
-- id, fields, ours, theirs, how it was resolved or null -> nothing
INSERT INTO customer_sync.conflict (id, clashes, mine, theirs, resolved_at, resolution)
VALUES ($1, $2, $3::text::jsonb, $4::text::jsonb, CASE WHEN $5::text IS NULL THEN NULL ELSE clock_timestamp() END, $5)
    ON CONFLICT (id) WHERE resolved_at IS NULL DO UPDATE
   SET clashes = excluded.clashes, mine = excluded.mine, theirs = excluded.theirs
