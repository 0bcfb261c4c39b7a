-- migrate:up
-- Backfill jobs: what was asked, by whom, how far each subject got, and what happened on the way.

CREATE TABLE headwater.job (
    id          uuid PRIMARY KEY,
    tenant      text NOT NULL,
    app         text NOT NULL,
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN
        ('queued', 'running', 'paused', 'catching_up', 'verifying', 'verified', 'diverged', 'partial', 'failed', 'cancelled')),
    since       timestamptz,
    asked_by    text NOT NULL,
    reason      text NOT NULL,
    cancelled   bool NOT NULL DEFAULT false,
    not_before  timestamptz NOT NULL DEFAULT clock_timestamp(),
    holder      text,
    token       bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at  timestamptz,
    finished_at timestamptz,
    error       text
);
CREATE UNIQUE INDEX job_one_at_a_time ON headwater.job (tenant, app)
    WHERE state IN ('queued', 'running', 'paused', 'catching_up', 'verifying');
CREATE INDEX job_by_tenant ON headwater.job (tenant, app, created_at DESC);

CREATE TABLE headwater.job_part (
    job        uuid NOT NULL REFERENCES headwater.job ON DELETE CASCADE,
    subject    text NOT NULL,
    place      int  NOT NULL,
    state      text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    expected   bigint,
    published  bigint NOT NULL DEFAULT 0,
    failed     bigint NOT NULL DEFAULT 0,
    checkpoint text[],
    appended   json NOT NULL DEFAULT '{}',
    details    json NOT NULL DEFAULT '[]',
    error      text,
    PRIMARY KEY (job, subject)
);

CREATE TABLE headwater.job_event (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job    uuid NOT NULL REFERENCES headwater.job ON DELETE CASCADE,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor  text NOT NULL,
    what   text NOT NULL,
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX job_event_job ON headwater.job_event (job, id);

-- The last clean comparison of source and application, with the loss signals and the sink it knew of.
CREATE TABLE headwater.pass (
    tenant   text NOT NULL,
    app      text NOT NULL,
    subject  text NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    gap      bigint NOT NULL,
    sink     text NOT NULL,
    PRIMARY KEY (tenant, app, subject)
);

-- migrate:down
DROP TABLE headwater.pass, headwater.job_event, headwater.job_part, headwater.job;
