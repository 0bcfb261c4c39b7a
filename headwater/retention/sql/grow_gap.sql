-- Let a gap that nobody repairs yet grow by what went right behind it.
-- $1 app, $2 stream, $3 its last entry so far, $4 entries more, $5 its last entry now -> id, or no row
UPDATE headwater.gap SET entries = entries + $4, upto = $5
 WHERE app = $1 AND stream = $2 AND upto = $3 AND $3 <> '' AND kind = 'trimmed_unread' AND state = 'open'
RETURNING id
