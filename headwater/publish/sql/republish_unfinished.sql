-- The last run that did not end.
-- $1 by whom -> id, or no row
SELECT id FROM headwater.republish WHERE state = 'running' AND asked_by = $1 ORDER BY id DESC LIMIT 1
