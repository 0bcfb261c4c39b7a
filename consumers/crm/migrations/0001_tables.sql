-- migrate:up
-- What the CRM knows of its tenants. Every table: the tenant, the key, and what the events say.

CREATE SCHEMA crm;

CREATE TABLE crm.organizations (
    tenant_id         uuid NOT NULL,
    organization_id   uuid NOT NULL,
    org_code          text,
    org_name          text NOT NULL,
    description       text,
    industry          text,
    website           text,
    organization_type text,
    parent_id         uuid,
    entity_level      int NOT NULL,
    is_active         bool NOT NULL,
    created_at        timestamptz,
    updated_at        timestamptz,
    PRIMARY KEY (tenant_id, organization_id)
);
CREATE INDEX organizations_code ON crm.organizations (tenant_id, org_code);

CREATE TABLE crm.users (
    tenant_id               uuid NOT NULL,
    user_id                 uuid NOT NULL,
    email                   text,
    first_name              text,
    last_name               text,
    name                    text,
    avatar                  text,
    primary_organization_id uuid,
    is_active               bool NOT NULL,
    is_tenant_admin         bool NOT NULL,
    created_at              timestamptz,
    updated_at              timestamptz,
    PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE crm.roles (
    tenant_id      uuid NOT NULL,
    role_id        uuid NOT NULL,
    role_name      text NOT NULL,
    description    text,
    permissions    jsonb NOT NULL,
    restrictions   jsonb,
    priority       int,
    is_system_role bool NOT NULL,
    updated_at     timestamptz,
    PRIMARY KEY (tenant_id, role_id)
);

CREATE TABLE crm.role_assignments (
    tenant_id       uuid NOT NULL,
    assignment_id   uuid NOT NULL,
    user_id         uuid NOT NULL,
    role_id         uuid NOT NULL,
    organization_id uuid,
    scope           text,
    assigned_at     timestamptz,
    expires_at      timestamptz,
    PRIMARY KEY (tenant_id, assignment_id)
);
CREATE INDEX role_assignments_user ON crm.role_assignments (tenant_id, user_id);

-- An assignment that ended stays, inactive: deals point to it. Old ids are not always UUIDs.
CREATE TABLE crm.assignments (
    tenant_id       uuid NOT NULL,
    assignment_id   text NOT NULL,
    user_id         uuid NOT NULL,
    organization_id uuid NOT NULL,
    role_id         uuid,
    assignment_type text,
    access_level    text,
    priority        int,
    is_primary      bool NOT NULL,
    is_active       bool NOT NULL,
    assigned_at     timestamptz,
    updated_at      timestamptz,
    PRIMARY KEY (tenant_id, assignment_id)
);
CREATE INDEX assignments_user ON crm.assignments (tenant_id, user_id) WHERE is_active;

CREATE TABLE crm.credits (
    tenant_id          uuid NOT NULL,
    allocation_id      text NOT NULL,
    source_entity_id   text NOT NULL,
    source_entity_type text NOT NULL,
    allocated_credits  numeric NOT NULL,
    used_credits       numeric NOT NULL DEFAULT 0,
    available_credits  numeric NOT NULL,
    credit_type        text,
    allocation_type    text,
    purpose            text,
    allocated_at       timestamptz,
    expires_at         timestamptz,
    PRIMARY KEY (tenant_id, allocation_id)
);
COMMENT ON COLUMN crm.credits.credit_type IS
    'null: no state was applied yet, the figures are the sum of what old producers said (crm.credit_increments)';
CREATE INDEX credits_entity ON crm.credits (tenant_id, source_entity_id);

-- Every increment of an old producer, once; counted says whether it had a part in a balance.
CREATE TABLE crm.credit_increments (
    tenant_id         uuid NOT NULL,
    event_id          text NOT NULL,
    allocation_id     text,
    source_entity_id  text NOT NULL,
    amount            numeric NOT NULL,
    available_credits numeric,
    cumulative        bool NOT NULL,
    reason            text,
    said_at           timestamptz NOT NULL,
    counted           bool NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX credit_increments_allocation ON crm.credit_increments (tenant_id, allocation_id, said_at);

CREATE TABLE crm.credit_transactions (
    tenant_id        uuid NOT NULL,
    operation_id     text NOT NULL,
    source_entity_id text NOT NULL,
    user_id          text,
    amount           numeric NOT NULL,
    operation_type   text,
    resource_type    text,
    resource_id      text,
    consumed_at      timestamptz,
    PRIMARY KEY (tenant_id, operation_id)
);
CREATE INDEX credit_transactions_entity ON crm.credit_transactions (tenant_id, source_entity_id, consumed_at);

CREATE TABLE crm.credit_configs (
    tenant_id       uuid NOT NULL,
    config_id       text NOT NULL,
    operation_code  text NOT NULL,
    credit_cost     numeric NOT NULL,
    unit            text,
    unit_multiplier numeric,
    free_allowance  numeric,
    is_global       bool NOT NULL,
    is_active       bool NOT NULL,
    updated_at      timestamptz,
    PRIMARY KEY (tenant_id, config_id)
);
CREATE INDEX credit_configs_operation ON crm.credit_configs (tenant_id, operation_code) WHERE is_active;

-- migrate:down
DROP SCHEMA crm CASCADE;
