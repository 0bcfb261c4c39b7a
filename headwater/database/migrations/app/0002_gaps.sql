-- migrate:up
-- Gaps have a life: open, being repaired, closed; and what a worker remembers to find them is kept where it applies.

ALTER TABLE headwater.gap
    ADD COLUMN state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'repairing', 'closed')),
    -- Everything up to here was applied when the loss was found; '' for gaps of before.
    ADD COLUMN since       text NOT NULL DEFAULT '',
    -- The last entry that can be lost; '' when that is not known.
    ADD COLUMN upto        text NOT NULL DEFAULT '',
    -- What brings it back: read_again, republish, comparison, hand.
    ADD COLUMN repair      text NOT NULL DEFAULT '',
    -- The gap closes when the group has applied everything up to this entry.
    ADD COLUMN until       text NOT NULL DEFAULT '',
    ADD COLUMN repaired_by text NOT NULL DEFAULT '',
    ADD COLUMN note        text NOT NULL DEFAULT '',
    ADD COLUMN closed_at   timestamptz;
CREATE INDEX gap_open ON headwater.gap (app, stream, id) WHERE state <> 'closed';
CREATE INDEX gap_entry ON headwater.gap (app, stream, entry) WHERE entry <> '';

-- How a stream and the group on it were at the last look: what is behind that now has lost something.
CREATE TABLE headwater.mark (
    app       text   NOT NULL,
    stream    text   NOT NULL,
    added     bigint NOT NULL,
    last      text   NOT NULL,
    deleted   text   NOT NULL,
    trimmed   bigint NOT NULL,
    floor     text   NOT NULL,
    unsettled bigint NOT NULL,
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (app, stream)
);

-- A count that Redis keeps too: whichever of the two is behind was restored or has forgotten.
CREATE TABLE headwater.beat (
    app         text PRIMARY KEY,
    incarnation uuid   NOT NULL DEFAULT gen_random_uuid(),
    beat        bigint NOT NULL DEFAULT 0,
    heard       bigint NOT NULL DEFAULT 0
);

-- migrate:down
DROP TABLE headwater.beat, headwater.mark;
DROP INDEX headwater.gap_entry, headwater.gap_open;
ALTER TABLE headwater.gap
    DROP COLUMN state, DROP COLUMN since, DROP COLUMN upto, DROP COLUMN repair, DROP COLUMN until,
    DROP COLUMN repaired_by, DROP COLUMN note, DROP COLUMN closed_at;
