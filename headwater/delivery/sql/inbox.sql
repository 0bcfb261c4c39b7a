-- The inbox: let through each event id once, and remember it.
-- $1 app, $2 event ids, each once -> the ids let through
INSERT INTO headwater.inbox (app, event_id)
SELECT $1, e.id FROM unnest($2::text[]) AS e (id) ORDER BY e.id
ON CONFLICT DO NOTHING
RETURNING event_id
