-- migrate:up
-- What was said of each copy on the stream: the state itself is the outbox, and nothing else has to be written with an edit.
ALTER TABLE customer_sync.copy
    ADD COLUMN said_auth     int NOT NULL DEFAULT 0,
    ADD COLUMN said_customer int NOT NULL DEFAULT 0;
CREATE INDEX copy_unsaid ON customer_sync.copy (id) WHERE auth_edits <> said_auth OR customer_edits <> said_customer;

-- A doorbell without content, once a statement: an edit never waits for Redis, nor for who seals.
CREATE FUNCTION customer_sync.ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('headwater.customer_sync', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_notify('customer_edits', '');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER customer_sync_ring AFTER INSERT OR UPDATE OR DELETE ON public.client_auth
    FOR EACH STATEMENT EXECUTE FUNCTION customer_sync.ring();

-- migrate:down
DROP TRIGGER customer_sync_ring ON public.client_auth;
DROP FUNCTION customer_sync.ring;
ALTER TABLE customer_sync.copy DROP COLUMN said_auth, DROP COLUMN said_customer;
