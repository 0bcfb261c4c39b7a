-- migrate:up
-- What is told of tenant syncs: which are stuck, who asked for what, and figures that stay quick with a million runs.

-- Since when a run that is in progress has had nobody who makes it; null while somebody does, or while a process that
-- stopped in good order has just let go of it. A lease far in the future was written by a clock that was wrong.
CREATE FUNCTION crm.tenant_sync_stuck_since(one crm.tenant_syncs) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN one.status <> 'in_progress' THEN NULL
                WHEN one.lease_until > clock_timestamp() + interval '10 minutes' THEN one.started_at
                WHEN coalesce(one.lease_until, one.started_at + interval '1 minute') < clock_timestamp()
                THEN coalesce(one.lease_until, one.started_at + interval '1 minute') END
$$;

CREATE TABLE crm.tenant_sync_notes (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid,
    noted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor     text NOT NULL,
    action    text NOT NULL,
    detail    text
);
COMMENT ON TABLE crm.tenant_sync_notes IS 'the audit trail: who asked for which sync, who took which lock away';
COMMENT ON COLUMN crm.tenant_sync_notes.tenant_id IS 'null: all of them';
CREATE INDEX tenant_sync_notes_tenant ON crm.tenant_sync_notes (tenant_id, id);
CREATE INDEX tenant_sync_notes_noted ON crm.tenant_sync_notes (noted_at);

CREATE INDEX tenant_sync_runs_ended ON crm.tenant_sync_runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX tenant_syncs_in_progress ON crm.tenant_syncs (started_at) WHERE status = 'in_progress';
CREATE INDEX tenant_sync_collections_failed ON crm.tenant_sync_collections (name) WHERE status = 'failed';

-- migrate:down
DROP INDEX crm.tenant_sync_collections_failed, crm.tenant_syncs_in_progress, crm.tenant_sync_runs_ended;
DROP TABLE crm.tenant_sync_notes;
DROP FUNCTION crm.tenant_sync_stuck_since;
