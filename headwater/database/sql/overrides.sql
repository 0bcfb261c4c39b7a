-- Settings in force whatever a process was started with.
-- nothing -> name, value, set_by, set_at
SELECT name, value, set_by, set_at FROM headwater.override ORDER BY name
