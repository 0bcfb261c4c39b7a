-- migrate:up
-- What retention has to remember, so that any process may do it and none does it twice.

-- When a group was last heard of: one that is silent for longer than its lease holds no stream back any more.
CREATE TABLE headwater.reader (
    name        text PRIMARY KEY,
    app         text NOT NULL DEFAULT '',
    heard_at    timestamptz NOT NULL,
    given_up_at timestamptz
);
COMMENT ON COLUMN headwater.reader.app IS 'empty: declared nowhere';

-- How old the oldest thing in the outbox was at each look: what stands in a stream since then is no older.
CREATE TABLE headwater.outbox_age (
    at   timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    said timestamptz NOT NULL
);

-- When each part was last done.
CREATE TABLE headwater.upkeep (
    what    text PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed bigint NOT NULL DEFAULT 0,
    detail  text NOT NULL DEFAULT ''
);

-- migrate:down
DROP TABLE headwater.upkeep, headwater.outbox_age, headwater.reader;
