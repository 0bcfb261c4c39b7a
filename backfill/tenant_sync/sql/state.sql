-- How a tenant's sync stands.
-- $1 tenant -> its row, seconds since its run came further, whether somebody holds the lease, whether the tenant is there, whether the next attempt is due; or no row
SELECT s.*, coalesce(s.lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 minutes', false) AS busy,
       EXISTS (SELECT FROM crm.tenants AS t WHERE t.tenant_id = s.tenant_id) AS known,
       coalesce(s.next_attempt_at <= clock_timestamp(), true) AS due,
       extract(epoch FROM clock_timestamp() - greatest(s.started_at, s.essential_at, (
           SELECT max(c.synced_at) FROM crm.tenant_sync_collections AS c WHERE c.tenant_id = s.tenant_id)))::float8 AS idle,
       extract(epoch FROM s.essential_at - s.started_at)::float8 AS essential_seconds,
       extract(epoch FROM coalesce(s.completed_at, clock_timestamp()) - s.started_at)::float8 AS seconds
  FROM crm.tenant_syncs AS s WHERE s.tenant_id = $1::text::uuid
