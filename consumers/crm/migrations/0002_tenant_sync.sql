-- migrate:up
-- Tenants, and how far the sync of each has come: what is to be known at a login, and what health is told from.

CREATE TABLE crm.tenants (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL,
    company_name text NOT NULL,
    subdomain    text,
    industry     text,
    website      text,
    is_active    bool NOT NULL,
    created_at   timestamptz,
    updated_at   timestamptz,
    PRIMARY KEY (tenant_id, id)
);

-- One row a tenant. The token grows with every run that takes the lease: an older one writes nothing any more.
CREATE TABLE crm.tenant_syncs (
    tenant_id       uuid PRIMARY KEY,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'in_progress', 'completed', 'failed')),
    phase           text NOT NULL DEFAULT 'independent' CHECK (phase IN ('independent', 'dependent', 'completed')),
    token           bigint NOT NULL DEFAULT 0,
    holder          text,
    lease_until     timestamptz,
    correlation_id  text,
    sync_method     text NOT NULL DEFAULT 'direct',
    requested_method text NOT NULL DEFAULT 'direct',
    fallback_used   bool NOT NULL DEFAULT false,
    attempts        int NOT NULL DEFAULT 0,
    started_at      timestamptz,
    essential_at    timestamptz,
    completed_at    timestamptz,
    next_attempt_at timestamptz,
    error           jsonb,
    requested_at    timestamptz,
    triggered_by    text
);
COMMENT ON COLUMN crm.tenant_syncs.attempts IS 'since the last run that completed';
COMMENT ON COLUMN crm.tenant_syncs.requested_at IS 'somebody asked for a run that has not begun';
CREATE INDEX tenant_syncs_requested ON crm.tenant_syncs (requested_at) WHERE requested_at IS NOT NULL;
CREATE INDEX tenant_syncs_leased ON crm.tenant_syncs (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE crm.tenant_sync_collections (
    tenant_id uuid NOT NULL,
    name      text NOT NULL,
    status    text NOT NULL CHECK (status IN ('in_progress', 'completed', 'failed')),
    fetched   int NOT NULL DEFAULT 0,
    stored    int NOT NULL DEFAULT 0,
    skipped   int NOT NULL DEFAULT 0,
    failed    int NOT NULL DEFAULT 0,
    gone      int NOT NULL DEFAULT 0,
    error     text,
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seconds   float8 NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, name)
);

-- Every run, for the figures: one row a token.
CREATE TABLE crm.tenant_sync_runs (
    tenant_id        uuid NOT NULL,
    token            bigint NOT NULL,
    correlation_id   text NOT NULL,
    sync_method      text NOT NULL,
    requested_method text NOT NULL,
    fallback_used    bool NOT NULL,
    triggered_by     text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    essential_at     timestamptz,
    ended_at         timestamptz,
    status           text NOT NULL DEFAULT 'in_progress',
    error_type       text,
    collections      jsonb,
    PRIMARY KEY (tenant_id, token)
);
CREATE INDEX tenant_sync_runs_started ON crm.tenant_sync_runs (started_at);

-- migrate:down
DROP TABLE crm.tenant_sync_runs, crm.tenant_sync_collections, crm.tenant_syncs, crm.tenants;
