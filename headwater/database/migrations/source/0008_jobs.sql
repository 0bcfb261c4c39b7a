-- migrate:up
-- Jobs that people steer: paused and gone on with, by priority, at a rate; chunks, and rows that could not be said.

ALTER TABLE headwater.job
    ADD COLUMN paused   bool NOT NULL DEFAULT false,
    ADD COLUMN priority int  NOT NULL DEFAULT 0,
    ADD COLUMN rate     int  CHECK (rate > 0);
COMMENT ON COLUMN headwater.job.paused IS 'Asked for; the state follows within a second.';
COMMENT ON COLUMN headwater.job.rate IS 'Most rows a second; null: as the runner is set.';

-- Several jobs of an application may be open as long as they have no subject in common: create_job sees to it.
DROP INDEX headwater.job_one_at_a_time;
CREATE INDEX job_open ON headwater.job (tenant, app)
    WHERE state IN ('queued', 'running', 'paused', 'catching_up', 'verifying');

ALTER TABLE headwater.job_part ADD COLUMN read bigint NOT NULL DEFAULT 0;

CREATE TABLE headwater.job_chunk (
    job       uuid NOT NULL REFERENCES headwater.job ON DELETE CASCADE,
    subject   text NOT NULL,
    number    int  NOT NULL,
    read      int  NOT NULL,
    published int  NOT NULL,
    appended  json NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, subject, number)
);

CREATE TABLE headwater.job_quarantine (
    job     uuid NOT NULL REFERENCES headwater.job ON DELETE CASCADE,
    subject text NOT NULL,
    key     text NOT NULL,
    error   text NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, subject, key)
);

-- migrate:down
DROP TABLE headwater.job_quarantine, headwater.job_chunk;
ALTER TABLE headwater.job_part DROP COLUMN read;
DROP INDEX headwater.job_open;
CREATE UNIQUE INDEX job_one_at_a_time ON headwater.job (tenant, app)
    WHERE state IN ('queued', 'running', 'paused', 'catching_up', 'verifying');
ALTER TABLE headwater.job DROP COLUMN paused, DROP COLUMN priority, DROP COLUMN rate;
