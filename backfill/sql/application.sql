-- An application by its id or code.
-- $1 id or code -> application, or no row
SELECT app_id::text AS app_id, app_code, app_name, status FROM applications WHERE app_id::text = lower($1) OR app_code = $1
