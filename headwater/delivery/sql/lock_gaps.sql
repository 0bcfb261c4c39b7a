-- Hold what is not closed, in one order for everybody: whoever changes several would wait for each other.
-- $1 app -> how many
SELECT count(*) FROM (SELECT id FROM headwater.gap WHERE app = $1 AND state <> 'closed' ORDER BY id FOR UPDATE) AS held
