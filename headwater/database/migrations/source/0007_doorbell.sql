-- migrate:up
-- A notification takes a lock that all commits of the cluster share. So it is given only while somebody waits for it:
-- a relay that has enough to do looks by itself, and says so.

CREATE OR REPLACE FUNCTION headwater.ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM headwater.relay WHERE NOT listening) THEN
        PERFORM pg_notify('headwater_outbox', '');
    END IF;
    RETURN NULL;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION headwater.ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('headwater_outbox', '');
    RETURN NULL;
END $$;
