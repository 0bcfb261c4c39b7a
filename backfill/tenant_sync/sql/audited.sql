-- Whether a tenant's run is stuck, and who asked for what lately.
-- $1 tenant, $2 at most -> one row: since when it is stuck or null, notes as JSON, newest first
SELECT (SELECT crm.tenant_sync_stuck_since(s) FROM crm.tenant_syncs AS s WHERE s.tenant_id = $1::text::uuid) AS stuck_since,
       (SELECT coalesce(json_agg(json_build_object('at', n.noted_at, 'actor', n.actor, 'action', n.action, 'detail', n.detail)
                                 ORDER BY n.id DESC), '[]')
          FROM (SELECT * FROM crm.tenant_sync_notes WHERE tenant_id = $1::text::uuid ORDER BY id DESC LIMIT $2) AS n) AS notes
