-- migrate:up
-- What human resources knows of its tenants: credits that were allocated to it, and who belongs where.

CREATE SCHEMA hr;

CREATE TABLE hr.credits (
    tenant_id         uuid NOT NULL,
    allocation_id     text NOT NULL,
    source_entity_id  text NOT NULL,
    allocated_credits numeric NOT NULL,
    used_credits      numeric NOT NULL,
    available_credits numeric NOT NULL,
    credit_type       text NOT NULL,
    allocated_at      timestamptz,
    expires_at        timestamptz,
    PRIMARY KEY (tenant_id, allocation_id)
);

-- A person who left stays, inactive: contracts point to the assignment.
CREATE TABLE hr.assignments (
    tenant_id       uuid NOT NULL,
    assignment_id   text NOT NULL,
    user_id         uuid NOT NULL,
    organization_id uuid NOT NULL,
    is_primary      bool NOT NULL,
    is_active       bool NOT NULL,
    assigned_at     timestamptz,
    updated_at      timestamptz,
    PRIMARY KEY (tenant_id, assignment_id)
);
CREATE INDEX assignments_organization ON hr.assignments (tenant_id, organization_id) WHERE is_active;

-- migrate:down
DROP SCHEMA hr CASCADE;
