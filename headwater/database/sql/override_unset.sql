-- Take an override back.
-- $1 name -> its name; no row where there was none
DELETE FROM headwater.override WHERE name = $1::text RETURNING name
