-- migrate:up
-- What an application has applied, kept beside the rows it wrote, so that both commit or neither does.

CREATE TABLE headwater.sink (
    one         bool PRIMARY KEY DEFAULT true CHECK (one),
    incarnation uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO headwater.sink DEFAULT VALUES;

-- The gate for state: a row a thing, which accepts only larger versions. A deletion stays as a tombstone.
CREATE TABLE headwater.ledger (
    app        text   NOT NULL,
    tenant     text   NOT NULL,
    subject    text   NOT NULL,
    key        text   NOT NULL,
    generation int    NOT NULL DEFAULT 1,
    version    bigint NOT NULL,
    deleted    bool   NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (app, tenant, subject, key)
);

-- A rebuild raises the generation, so that rows of the present version are written once more.
CREATE TABLE headwater.generation (
    app text, subject text, generation int NOT NULL DEFAULT 1, PRIMARY KEY (app, subject)
);

-- The gate for facts: an event id is handled once.
CREATE TABLE headwater.inbox (
    app        text NOT NULL,
    event_id   text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (app, event_id)
);

CREATE TABLE headwater.dead_letter (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app        text NOT NULL,
    stream     text NOT NULL,
    entry      text NOT NULL,
    state      text NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'replaying', 'replayed', 'discarded')),
    reason     text NOT NULL,
    error      text NOT NULL,
    event_id   text NOT NULL DEFAULT '',
    type       text NOT NULL DEFAULT '',
    tenant     text NOT NULL DEFAULT '',
    key        text NOT NULL DEFAULT '',
    job        text NOT NULL DEFAULT '',
    failures   int  NOT NULL DEFAULT 1,
    size       bigint NOT NULL,
    fields     bytea,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    taken_until timestamptz,
    note       text NOT NULL DEFAULT '',
    UNIQUE (app, stream, entry)
);
CREATE INDEX dead_letter_open ON headwater.dead_letter (app, state, id) WHERE state IN ('parked', 'replaying');
CREATE INDEX dead_letter_job ON headwater.dead_letter (job) WHERE job <> '';

-- How often an entry failed and when it may be tried again: survives restarts, unlike a count in memory.
CREATE TABLE headwater.failure (
    app      text NOT NULL,
    stream   text NOT NULL,
    entry    text NOT NULL,
    failures int  NOT NULL DEFAULT 1,
    retry_at timestamptz NOT NULL,
    error    text NOT NULL,
    PRIMARY KEY (app, stream, entry)
);

-- How far each worker got, written in the transaction that applied: for finding gaps, never for leaving events out.
CREATE TABLE headwater.position (
    app        text NOT NULL,
    stream     text NOT NULL,
    consumer   text NOT NULL,
    entry      text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (app, stream, consumer)
);

-- Entries that were delivered or due and are gone: each makes "in step" unknown until a comparison says otherwise.
CREATE TABLE headwater.gap (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app         text NOT NULL,
    stream      text NOT NULL,
    kind        text NOT NULL,
    entry       text NOT NULL DEFAULT '',
    entries     bigint NOT NULL DEFAULT 1,
    detected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX gap_by_app ON headwater.gap (app, detected_at);

-- migrate:down
DROP TABLE headwater.gap, headwater.position, headwater.failure, headwater.dead_letter, headwater.inbox,
           headwater.generation, headwater.ledger, headwater.sink;
