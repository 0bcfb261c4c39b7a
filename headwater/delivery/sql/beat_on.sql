-- Count a look, and what Redis had of the count; after a restore of this database as another one.
-- $1 app, $2 beat, $3 what Redis had, $4 another one -> incarnation
UPDATE headwater.beat
   SET beat = $2, heard = $3, incarnation = CASE WHEN $4::bool THEN gen_random_uuid() ELSE incarnation END
 WHERE app = $1 RETURNING incarnation::text
