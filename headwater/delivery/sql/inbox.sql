-- The inbox: let through each event id once, and remember it.
-- $1 app, $2 event ids, $3 tenants -> (event_id, tenant) of those let through
INSERT INTO headwater.inbox (app, event_id, tenant)
SELECT $1, e.id, e.tenant FROM unnest($2::text[], $3::text[]) AS e (id, tenant) ORDER BY e.id, e.tenant
ON CONFLICT DO NOTHING
RETURNING event_id, tenant
