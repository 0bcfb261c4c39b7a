-- migrate:up
-- What the last comparison of each subject said, whether it still holds, and who compared or repaired.

CREATE TABLE headwater.agreement (
    tenant        text NOT NULL,
    app           text NOT NULL,
    subject       text NOT NULL,
    state         text NOT NULL CHECK (state IN ('agreed', 'differing', 'unknown')),
    -- Why it is not known, or how they differ.
    reason        text NOT NULL DEFAULT '',
    level         int NOT NULL DEFAULT 1,
    checked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    agreed_at     timestamptz,
    seconds       float8 NOT NULL DEFAULT 0,
    source_count  bigint,
    applied_count bigint,
    -- Keys that differ, by kind.
    kinds         json NOT NULL DEFAULT '{}',
    -- The loss signals that the comparison knew of: a newer one makes it unknown.
    gap           bigint NOT NULL,
    sink          text NOT NULL,
    epoch         int NOT NULL,
    -- Comparisons since the loss signal that did not end in agreement.
    tries         int NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, app, subject)
);

-- The loss signals of each application that were acted upon.
CREATE TABLE headwater.loss_signal (
    app   text PRIMARY KEY,
    gap   bigint NOT NULL,
    sink  text NOT NULL,
    epoch int NOT NULL
);

CREATE TABLE headwater.reconcile_event (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    tenant  text NOT NULL,
    app     text NOT NULL,
    what    text NOT NULL,
    detail  text NOT NULL DEFAULT ''
);
CREATE INDEX reconcile_event_of ON headwater.reconcile_event (tenant, app, id);

-- migrate:down
DROP TABLE headwater.reconcile_event, headwater.loss_signal, headwater.agreement;
