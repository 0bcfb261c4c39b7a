-- migrate:up
-- Who works for an application: the names that its workers hold, and when one was last heard of.

CREATE TABLE headwater.worker_name (
    app         text NOT NULL,
    name        text NOT NULL,
    token       uuid NOT NULL,
    place       text NOT NULL DEFAULT '',
    process     text NOT NULL DEFAULT '',
    taken_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (app, name)
);

CREATE INDEX dead_letter_event ON headwater.dead_letter (app, event_id) WHERE event_id <> '';

CREATE TABLE headwater.presence (
    app     text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- migrate:down
DROP INDEX headwater.dead_letter_event;
DROP TABLE headwater.presence, headwater.worker_name;
