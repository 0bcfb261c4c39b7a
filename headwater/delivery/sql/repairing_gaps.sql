-- Up to where groups have to be before their gaps close.
-- $1 app -> (stream, until)
SELECT DISTINCT stream, until FROM headwater.gap WHERE app = $1 AND state = 'repairing' AND until <> ''
