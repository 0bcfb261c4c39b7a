-- migrate:up
-- Runs that say rows of the outbox again after Redis lost entries: what was asked, by whom, and how far each got.

CREATE TABLE headwater.republish (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
    asked_by    text NOT NULL,
    -- {until, since, streams: {stream: [above, up to]}}
    span        json NOT NULL,
    -- Gaps that were open when it began: they are answered at its end.
    asked       json NOT NULL DEFAULT '[]',
    rows_found  bigint NOT NULL,
    -- Everything up to this row of the outbox was said; the last one to say.
    position    bigint NOT NULL DEFAULT 0,
    last        bigint NOT NULL,
    rows_said   bigint NOT NULL DEFAULT 0,
    entries     bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    refused     bigint NOT NULL DEFAULT 0,
    -- {stream: [first entry, last entry, entries]}; streams that lack something that was refused.
    reached     json NOT NULL DEFAULT '{}',
    refusing    text[] NOT NULL DEFAULT '{}',
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);

-- Up to when published rows may be missing from the outbox, whoever removed them: what was said before can not be said again.
CREATE TABLE headwater.outbox_floor (
    one           bool PRIMARY KEY DEFAULT true CHECK (one),
    removed_until timestamptz NOT NULL
);
INSERT INTO headwater.outbox_floor (removed_until)
SELECT min(published_at) FROM headwater.outbox HAVING min(id) > 1 AND min(published_at) IS NOT NULL;

CREATE FUNCTION headwater.raise_floor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO headwater.outbox_floor AS f (removed_until)
    SELECT max(published_at) FROM gone HAVING max(published_at) IS NOT NULL
    ON CONFLICT (one) DO UPDATE SET removed_until = greatest(f.removed_until, excluded.removed_until);
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_floor AFTER DELETE ON headwater.outbox REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION headwater.raise_floor();

CREATE FUNCTION headwater.raise_floor_to_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO headwater.outbox_floor (removed_until) VALUES (clock_timestamp())
    ON CONFLICT (one) DO UPDATE SET removed_until = excluded.removed_until;
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_truncated AFTER TRUNCATE ON headwater.outbox
    FOR EACH STATEMENT EXECUTE FUNCTION headwater.raise_floor_to_now();

-- migrate:down
DROP TRIGGER outbox_truncated ON headwater.outbox;
DROP TRIGGER outbox_floor ON headwater.outbox;
DROP FUNCTION headwater.raise_floor_to_now, headwater.raise_floor;
DROP TABLE headwater.outbox_floor, headwater.republish;
