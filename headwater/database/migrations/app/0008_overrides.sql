-- migrate:up
-- Settings that are in force until they are taken back, whatever a process was started with: what a rollback needs.
CREATE TABLE headwater.override (
    name   text PRIMARY KEY,
    value  text NOT NULL,
    set_by text NOT NULL DEFAULT session_user,
    set_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE headwater.override IS 'headwater config set and unset; processes read it every two seconds';

-- migrate:down
DROP TABLE headwater.override;
