-- migrate:up
-- Whose event it was: older producers choose the ids of their events, and two tenants may choose the same one. Rows
-- from before have none, and stand for every tenant. A second tenant's event stands as its id, U+001F and the tenant.
ALTER TABLE headwater.inbox ADD COLUMN tenant text;

-- migrate:down
ALTER TABLE headwater.inbox DROP COLUMN tenant;
