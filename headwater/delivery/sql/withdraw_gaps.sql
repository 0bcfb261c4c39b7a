-- Close gaps of entries that their worker still had and has settled.
-- $1 app, $2 stream, $3 entries -> nothing
UPDATE headwater.gap
   SET state = 'closed', repair = 'in_hand', closed_at = clock_timestamp(), note = 'its worker still had it'
 WHERE id IN (
     SELECT id FROM headwater.gap
      WHERE app = $1 AND stream = $2 AND entry = ANY ($3::text[]) AND entry <> '' AND state <> 'closed'
      ORDER BY id FOR UPDATE)
