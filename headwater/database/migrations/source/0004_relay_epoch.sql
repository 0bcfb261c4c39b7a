-- migrate:up
-- Who moves the outbox. A new leader raises the epoch, and every mark names the one it was made under: what an
-- earlier leader still writes, because it was stopped or cut off and does not know yet, has no effect.

CREATE TABLE headwater.relay (
    one       bool PRIMARY KEY DEFAULT true CHECK (one),
    epoch     bigint NOT NULL DEFAULT 0,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    listening bool NOT NULL DEFAULT true
);
INSERT INTO headwater.relay DEFAULT VALUES;
COMMENT ON COLUMN headwater.relay.listening IS
    'false while the leader looks by itself every few milliseconds: then no commit needs to wake it';

-- Rows that wait for one stream that refuses them; all others go on.
ALTER TABLE headwater.outbox ADD COLUMN held text;
DROP INDEX headwater.outbox_waiting;
CREATE INDEX outbox_waiting ON headwater.outbox (id) WHERE published_at IS NULL AND error IS NULL AND held IS NULL;
CREATE INDEX outbox_held ON headwater.outbox (held, id) WHERE held IS NOT NULL;

-- migrate:down
DROP INDEX headwater.outbox_held, headwater.outbox_waiting;
ALTER TABLE headwater.outbox DROP COLUMN held;
CREATE INDEX outbox_waiting ON headwater.outbox (id) WHERE published_at IS NULL AND error IS NULL;
DROP TABLE headwater.relay;
