-- The doorbell of `users`: once a statement, without content, so that no row is too large for it. Replaces whatever has its name.
-- many statements -> the function notify_user_changes and the trigger user_changes_trigger
CREATE OR REPLACE FUNCTION notify_user_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('user_changes', '');
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS user_changes_trigger ON users;
CREATE TRIGGER user_changes_trigger AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION notify_user_changes();
