-- Note that gaps are being repaired: closed when the group has applied everything up to an entry.
-- $1 app, $2 stream, $3 the last gap of them, $4 repair, $5 until, $6 by whom, $7 note -> ids
UPDATE headwater.gap
   SET state = 'repairing', repair = $4, until = $5, repaired_by = $6, note = $7
 WHERE app = $1 AND stream = $2 AND id <= $3 AND state = 'open'
RETURNING id
