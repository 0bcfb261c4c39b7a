-- Let through, of events whose id is known already, those that another tenant's event has it from.
-- $1 app, $2 event ids, $3 tenants -> (event_id, tenant) of those let through
WITH let AS (
    INSERT INTO headwater.inbox (app, event_id, tenant)
    SELECT $1, e.id || E'\x1f' || lower(e.tenant), e.tenant
      FROM unnest($2::text[], $3::text[]) AS e (id, tenant)
      JOIN headwater.inbox AS i ON i.app = $1 AND i.event_id = e.id AND lower(i.tenant) <> lower(e.tenant)
     ORDER BY e.id, e.tenant
    ON CONFLICT DO NOTHING
    RETURNING event_id, tenant
)
SELECT left(event_id, -1 - length(lower(tenant))) AS event_id, tenant FROM let
