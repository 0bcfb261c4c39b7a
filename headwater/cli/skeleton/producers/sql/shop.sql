-- The source's own tables. `headwater dev` creates them; elsewhere they are the source's business.
-- nothing -> tables
CREATE TABLE orders (
    tenant_id  text NOT NULL,
    order_id   text PRIMARY KEY,
    customer   text NOT NULL,
    total      numeric NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_tenant ON orders (tenant_id, order_id);

CREATE TABLE enabled (
    tenant_id text NOT NULL,
    app       text NOT NULL,
    PRIMARY KEY (tenant_id, app)
);
