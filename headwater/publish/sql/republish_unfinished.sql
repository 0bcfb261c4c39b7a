-- The last run that did not end.
-- nothing -> id, or no row
SELECT id FROM headwater.republish WHERE state = 'running' ORDER BY id DESC LIMIT 1
