-- migrate:up
-- customers as the existing service has it, also where it is there already; beside it how each copy came to be.

CREATE TABLE IF NOT EXISTS public.customers (
    id              varchar(256) PRIMARY KEY,
    name            varchar(256) NOT NULL,
    email_encrypted text NOT NULL,
    stripe_customer_id varchar(256),
    created_at      timestamptz DEFAULT now(),
    updated_at      timestamptz DEFAULT now()
);
ALTER TABLE public.customers
    ADD COLUMN IF NOT EXISTS stripe_customer_id varchar(256),
    ADD COLUMN IF NOT EXISTS sync_version int DEFAULT 1,
    ADD COLUMN IF NOT EXISTS last_sync_at timestamptz,
    ADD COLUMN IF NOT EXISTS created_at   timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at   timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS email_index  text;
CREATE INDEX IF NOT EXISTS idx_stripe_customer ON public.customers (stripe_customer_id);
CREATE INDEX IF NOT EXISTS idx_sync_version ON public.customers (sync_version);
CREATE UNIQUE INDEX idx_email_index ON public.customers (email_index);

CREATE SCHEMA customer_sync;

-- What a sync reads and writes of the table: the same on both sides.
CREATE VIEW customer_sync.record AS
SELECT id, name, email_encrypted, email_index, sync_version, created_at, updated_at, last_sync_at FROM public.customers;

-- Outlives its row: then it is the tombstone, with what the row had last.
CREATE TABLE customer_sync.copy (
    id              varchar(256) PRIMARY KEY,
    auth_edits      int NOT NULL DEFAULT 0,
    customer_edits  int NOT NULL DEFAULT 0,
    name_side       text NOT NULL,
    name_number     int NOT NULL,
    email_side      text NOT NULL,
    email_number    int NOT NULL,
    gone_auth       int NOT NULL DEFAULT 0,
    gone_customer   int NOT NULL DEFAULT 0,
    name            varchar(256),
    email_encrypted text,
    gone_at         timestamptz,
    synced_at       timestamptz
);

CREATE TABLE customer_sync.conflict (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          varchar(256) NOT NULL,
    clashes     text[] NOT NULL,
    mine        jsonb NOT NULL,
    theirs      jsonb NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    resolution  text
);
CREATE UNIQUE INDEX conflict_open ON customer_sync.conflict (id) WHERE resolved_at IS NULL;

CREATE TABLE customer_sync.quarantine (
    id       varchar(256) PRIMARY KEY,
    reason   text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whether e-mail is written in the format that names its key: in a new database, or behind `headwater keys upgrade`.
CREATE TABLE customer_sync.form (versioned bool NOT NULL);
INSERT INTO customer_sync.form SELECT NOT EXISTS (SELECT FROM public.customers);

INSERT INTO customer_sync.copy (id, customer_edits, name_side, name_number, email_side, email_number)
SELECT id, v, 'customer', v, 'customer', v FROM public.customers, LATERAL (SELECT greatest(coalesce(sync_version, 1), 1)) AS one (v);

CREATE FUNCTION customer_sync.own(old int, side text, wanted text) RETURNS int
    LANGUAGE sql IMMUTABLE AS $$ SELECT old + (side = wanted)::int $$;

-- A write that is not the sync's own is an edit of this side.
-- Runs as its owner: who writes the table needs no rights beside it.
CREATE FUNCTION customer_sync.count_edit() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    side constant text := TG_ARGV[0];
    kept customer_sync.copy;
    number int;
BEGIN
    IF current_setting('headwater.customer_sync', true) = 'on' THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.name = OLD.name AND NEW.email_encrypted = OLD.email_encrypted AND NEW.id = OLD.id THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'the id of a customer does not change';
    END IF;
    INSERT INTO customer_sync.copy AS c (id, name_side, name_number, email_side, email_number)
    VALUES (coalesce(NEW.id, OLD.id), side, 1, side, 1)
    ON CONFLICT (id) DO UPDATE SET id = c.id
    RETURNING * INTO kept;
    IF TG_OP = 'INSERT' AND EXISTS (SELECT FROM customer_sync.record WHERE id = NEW.id) THEN
        RETURN NEW;  -- ON CONFLICT: the update that follows counts, and knows what it changes
    END IF;
    kept.auth_edits := customer_sync.own(kept.auth_edits, side, 'auth');
    kept.customer_edits := customer_sync.own(kept.customer_edits, side, 'customer');
    number := CASE side WHEN 'auth' THEN kept.auth_edits ELSE kept.customer_edits END;
    IF TG_OP = 'DELETE' THEN
        UPDATE customer_sync.copy
           SET auth_edits = kept.auth_edits, customer_edits = kept.customer_edits,
               gone_auth = kept.auth_edits, gone_customer = kept.customer_edits,
               name = OLD.name, email_encrypted = OLD.email_encrypted, gone_at = clock_timestamp(), synced_at = NULL
         WHERE id = OLD.id;
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' OR NEW.name <> OLD.name THEN
        kept.name_side := side;
        kept.name_number := number;
    END IF;
    IF TG_OP = 'INSERT' OR NEW.email_encrypted <> OLD.email_encrypted THEN
        kept.email_side := side;
        kept.email_number := number;
        IF TG_OP = 'UPDATE' AND NEW.email_index IS NOT DISTINCT FROM OLD.email_index THEN
            NEW.email_index := NULL;  -- written by who knows no index: `headwater keys rotate` fills it
        END IF;
    END IF;
    UPDATE customer_sync.copy
       SET auth_edits = kept.auth_edits, customer_edits = kept.customer_edits,
           name_side = kept.name_side, name_number = kept.name_number,
           email_side = kept.email_side, email_number = kept.email_number,
           name = NULL, email_encrypted = NULL, gone_at = NULL
     WHERE id = NEW.id;
    NEW.sync_version := kept.auth_edits + kept.customer_edits;
    -- Behind the last sync whatever the clocks say: the other side's may be ahead.
    NEW.updated_at := greatest(clock_timestamp(), NEW.last_sync_at + interval '1 microsecond');
    IF TG_OP = 'INSERT' THEN
        NEW.last_sync_at := NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER customer_sync_edit BEFORE INSERT OR UPDATE OR DELETE ON public.customers
    FOR EACH ROW EXECUTE FUNCTION customer_sync.count_edit('customer');

-- migrate:down
DROP TRIGGER customer_sync_edit ON public.customers;
DROP SCHEMA customer_sync CASCADE;
