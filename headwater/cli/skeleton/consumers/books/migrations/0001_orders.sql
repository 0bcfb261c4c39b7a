-- migrate:up
-- What bookkeeping knows of orders.
CREATE TABLE orders (
    tenant_id text NOT NULL,
    order_id  text NOT NULL,
    customer  text NOT NULL,
    total     numeric NOT NULL,
    PRIMARY KEY (tenant_id, order_id)
);

-- migrate:down
DROP TABLE orders;
