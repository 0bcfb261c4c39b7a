-- The wrapper's own tables, as its service has them: for the demo and for tests, never for production.
-- nothing -> tables and the indexes that paging by key needs; every time is UTC, without a zone, as the wrapper stores it

CREATE TABLE tenants (
    tenant_id    uuid PRIMARY KEY,
    company_name varchar(255) NOT NULL,
    subdomain    varchar(100) NOT NULL UNIQUE,
    kinde_org_id varchar(255),
    admin_email  varchar(255) NOT NULL,
    is_active    bool NOT NULL DEFAULT true,
    industry     varchar(100),
    website      varchar(255),
    created_at   timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at   timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);

CREATE TABLE applications (
    app_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app_code varchar(50) NOT NULL UNIQUE,
    app_name varchar(100) NOT NULL,
    description text,
    icon     varchar(255),
    base_url varchar(255) NOT NULL,
    status   varchar(20) NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'maintenance')),
    is_core  bool NOT NULL DEFAULT false
);

CREATE TABLE organization_applications (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id          uuid NOT NULL REFERENCES tenants,
    app_id             uuid NOT NULL REFERENCES applications,
    is_enabled         bool NOT NULL DEFAULT true,
    enabled_modules    jsonb,
    custom_permissions jsonb,
    license_count      int NOT NULL DEFAULT 0,
    max_users          int,
    subscription_tier  varchar(50) NOT NULL DEFAULT 'basic',
    expires_at         timestamp,
    created_at         timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at         timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    UNIQUE (tenant_id, app_id)
);

CREATE TABLE entities (
    entity_id         uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL REFERENCES tenants,
    entity_type       varchar(20) NOT NULL CHECK (entity_type IN ('organization', 'location', 'department', 'team')),
    parent_entity_id  uuid REFERENCES entities,
    entity_level      int NOT NULL DEFAULT 1,
    entity_name       varchar(255) NOT NULL,
    entity_code       varchar(50) UNIQUE,
    description       text,
    organization_type varchar(50),
    is_active         bool NOT NULL DEFAULT true,
    is_default        bool NOT NULL DEFAULT false,
    hierarchy_path    text,
    created_by        uuid,
    created_at        timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at        timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE INDEX entities_pages ON entities (tenant_id, entity_level, entity_id) WHERE entity_type = 'organization';
CREATE INDEX entities_children ON entities (parent_entity_id);

CREATE TABLE tenant_users (
    user_id                 uuid PRIMARY KEY,
    tenant_id               uuid NOT NULL REFERENCES tenants,
    kinde_user_id           varchar(255),
    email                   varchar(255) NOT NULL,
    name                    varchar(255) NOT NULL,
    first_name              varchar(100),
    last_name               varchar(100),
    avatar                  varchar(500),
    primary_organization_id uuid,
    is_active               bool NOT NULL DEFAULT true,
    is_tenant_admin         bool NOT NULL DEFAULT false,
    is_responsible_person   bool NOT NULL DEFAULT false,
    last_login_at           timestamp,
    onboarding_completed    bool NOT NULL DEFAULT false,
    created_at              timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at              timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    UNIQUE (tenant_id, email)
);
CREATE INDEX tenant_users_pages ON tenant_users (tenant_id, user_id);

CREATE TABLE custom_roles (
    role_id        uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants,
    role_name      varchar(100) NOT NULL,
    description    text,
    permissions    jsonb NOT NULL DEFAULT '{}',
    restrictions   jsonb NOT NULL DEFAULT '{}',
    priority       int NOT NULL DEFAULT 0,
    is_system_role bool NOT NULL DEFAULT false,
    created_by     uuid,
    created_at     timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at     timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE INDEX custom_roles_pages ON custom_roles (tenant_id, role_id);

-- tenant_id: a deleted row must still tell whose it was.
CREATE TABLE user_role_assignments (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL REFERENCES tenants,
    user_id         uuid NOT NULL REFERENCES tenant_users,
    role_id         uuid NOT NULL REFERENCES custom_roles,
    organization_id uuid REFERENCES entities,
    scope           varchar(50) NOT NULL DEFAULT 'organization',
    assigned_by     uuid,
    assigned_at     timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    expires_at      timestamp,
    is_active       bool NOT NULL DEFAULT true
);
CREATE INDEX user_role_assignments_pages ON user_role_assignments (tenant_id, id) WHERE is_active;
CREATE INDEX user_role_assignments_user ON user_role_assignments (user_id);
CREATE INDEX user_role_assignments_role ON user_role_assignments (role_id);

CREATE TABLE organization_memberships (
    membership_id     uuid PRIMARY KEY,
    user_id           uuid NOT NULL REFERENCES tenant_users,
    tenant_id         uuid NOT NULL REFERENCES tenants,
    entity_id         uuid NOT NULL REFERENCES entities,
    entity_type       varchar(20) NOT NULL DEFAULT 'organization',
    role_id           uuid REFERENCES custom_roles,
    membership_type   varchar(20) NOT NULL DEFAULT 'direct' CHECK (membership_type IN ('direct', 'inherited', 'temporary')),
    membership_status varchar(20) NOT NULL DEFAULT 'active'
                      CHECK (membership_status IN ('active', 'inactive', 'suspended', 'pending')),
    access_level      varchar(50) NOT NULL DEFAULT 'standard',
    is_primary        bool NOT NULL DEFAULT false,
    valid_from        timestamp,
    valid_until       timestamp,
    created_by        uuid,
    created_at        timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at        timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE INDEX organization_memberships_pages ON organization_memberships (tenant_id, membership_id)
    WHERE membership_status = 'active';
CREATE INDEX organization_memberships_user ON organization_memberships (user_id);
CREATE INDEX organization_memberships_entity ON organization_memberships (entity_id);
CREATE INDEX organization_memberships_role ON organization_memberships (role_id);

CREATE TABLE credit_allocations (
    allocation_id      uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL REFERENCES tenants,
    source_entity_id   uuid NOT NULL REFERENCES entities,
    target_application varchar(50) NOT NULL,
    allocated_credits  numeric(15, 4) NOT NULL DEFAULT 0,
    used_credits       numeric(15, 4) NOT NULL DEFAULT 0,
    available_credits  numeric(15, 4) NOT NULL DEFAULT 0,
    credit_type        varchar(50) NOT NULL DEFAULT 'free',
    allocation_type    varchar(30) NOT NULL DEFAULT 'manual',
    allocation_purpose text,
    is_active          bool NOT NULL DEFAULT true,
    allocated_at       timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    expires_at         timestamp,
    auto_replenish     bool NOT NULL DEFAULT false,
    allocated_by       uuid,
    last_updated_at    timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_by         uuid,
    CHECK (available_credits >= 0),
    CHECK (used_credits <= allocated_credits)
);
CREATE INDEX credit_allocations_pages ON credit_allocations (tenant_id, target_application, allocation_id) WHERE is_active;
CREATE UNIQUE INDEX credit_allocations_one_active
    ON credit_allocations (tenant_id, source_entity_id, target_application) WHERE is_active;

CREATE TABLE credits (
    credit_id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id         uuid NOT NULL REFERENCES tenants,
    entity_id         uuid NOT NULL REFERENCES entities,
    available_credits numeric(15, 4) NOT NULL DEFAULT 0,
    is_active         bool NOT NULL DEFAULT true,
    UNIQUE (tenant_id, entity_id)
);

CREATE TABLE credit_configurations (
    config_id      uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants,
    operation_code varchar(100) NOT NULL,
    credit_cost    numeric(10, 4) NOT NULL,
    unit           varchar(20) NOT NULL DEFAULT 'operation',
    unit_multiplier numeric(10, 4) NOT NULL DEFAULT 1,
    free_allowance int,
    is_global      bool NOT NULL DEFAULT false,
    is_active      bool NOT NULL DEFAULT true,
    created_at     timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at     timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE INDEX credit_configurations_pages ON credit_configurations (tenant_id, config_id);

CREATE TABLE event_tracking (
    event_id            varchar(255) PRIMARY KEY,
    event_type          varchar(100) NOT NULL,
    tenant_id           uuid NOT NULL,
    entity_id           varchar(255),
    stream_key          varchar(255),
    source_application  varchar(50),
    target_application  varchar(50),
    event_data          jsonb,
    metadata            jsonb,
    status              varchar(20) NOT NULL DEFAULT 'published'
                        CHECK (status IN ('published', 'acknowledged', 'failed', 'timeout')),
    acknowledged        bool NOT NULL DEFAULT false,
    acknowledged_at     timestamp,
    acknowledgment_data jsonb,
    error_message       text,
    retry_count         int NOT NULL DEFAULT 0,
    published_at        timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE INDEX event_tracking_by_tenant ON event_tracking (tenant_id, published_at);
