-- migrate:up
-- Redis can give an id to another event after it lost its streams: `mark`, a digest of the entry's fields, tells them apart.
ALTER TABLE headwater.failure
    ADD COLUMN mark text NOT NULL DEFAULT '',
    ADD COLUMN crashes int NOT NULL DEFAULT 0,
    DROP CONSTRAINT failure_pkey,
    ADD PRIMARY KEY (app, stream, entry, mark);
CREATE INDEX failure_crashes ON headwater.failure (app, retry_at) WHERE crashes > 0;

-- held: waits behind an earlier event of its thing. waiting: the first of its thing, tried again at `retry_at`.
ALTER TABLE headwater.dead_letter
    ADD COLUMN mark text NOT NULL DEFAULT '',
    ADD COLUMN subject text NOT NULL DEFAULT '',
    ADD COLUMN ordered bool NOT NULL DEFAULT false,
    ADD COLUMN retry_at timestamptz,
    ADD COLUMN tries int NOT NULL DEFAULT 0,
    DROP CONSTRAINT dead_letter_app_stream_entry_key,
    ADD CONSTRAINT dead_letter_entry UNIQUE (app, stream, entry, mark),
    DROP CONSTRAINT dead_letter_state_check,
    ADD CONSTRAINT dead_letter_state_check
        CHECK (state IN ('parked', 'replaying', 'replayed', 'discarded', 'waiting', 'held'));
DROP INDEX headwater.dead_letter_open;
CREATE INDEX dead_letter_open ON headwater.dead_letter (app, state, id)
 WHERE state IN ('parked', 'replaying', 'waiting', 'held');
CREATE INDEX dead_letter_ordered ON headwater.dead_letter (app, tenant, subject, key, id)
 WHERE ordered AND state IN ('parked', 'replaying', 'waiting', 'held');

-- Whose turn it is to read an application's ordered streams. `epoch` grows with every change of hands.
CREATE TABLE headwater.turn (
    app    text PRIMARY KEY,
    holder text NOT NULL,
    epoch  bigint NOT NULL,
    until  timestamptz NOT NULL
);

-- migrate:down
DROP TABLE headwater.turn;
DROP INDEX headwater.dead_letter_ordered, headwater.dead_letter_open, headwater.failure_crashes;
DELETE FROM headwater.dead_letter WHERE state IN ('waiting', 'held');
ALTER TABLE headwater.dead_letter
    DROP CONSTRAINT dead_letter_entry, DROP CONSTRAINT dead_letter_state_check,
    DROP COLUMN mark, DROP COLUMN subject, DROP COLUMN ordered, DROP COLUMN retry_at, DROP COLUMN tries,
    ADD CONSTRAINT dead_letter_app_stream_entry_key UNIQUE (app, stream, entry),
    ADD CONSTRAINT dead_letter_state_check CHECK (state IN ('parked', 'replaying', 'replayed', 'discarded'));
CREATE INDEX dead_letter_open ON headwater.dead_letter (app, state, id) WHERE state IN ('parked', 'replaying');
ALTER TABLE headwater.failure DROP COLUMN mark, DROP COLUMN crashes, ADD PRIMARY KEY (app, stream, entry);
