-- Record that entries are gone which were delivered or due; one that is known by its id, once. What was being repaired above
-- that may be lost again with them: open once more, unless the stream still has it.
-- $1 app, $2 stream, $3 kind, $4 entry or '', $5 how many, $6 everything applied up to, $7 lost at most up to or '',
-- $8 how it is being repaired or '', $9 repaired when this entry is applied or '' -> id, or no row
WITH recorded AS (
    INSERT INTO headwater.gap AS g (app, stream, kind, entry, entries, since, upto, repair, until, state)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $9 = '' THEN 'open' ELSE 'repairing' END
     WHERE $4 = '' OR NOT EXISTS (SELECT FROM headwater.gap WHERE app = $1 AND stream = $2 AND entry = $4)
    RETURNING g.id),
     again AS (
    UPDATE headwater.gap SET state = 'open', until = '', note = 'lost again while it was repaired'
     WHERE id IN (
         SELECT id FROM headwater.gap
          WHERE app = $1 AND stream = $2 AND state = 'repairing' AND until <> '' AND $9 = '' AND EXISTS (SELECT FROM recorded)
            AND string_to_array(until, '-')::numeric[] > string_to_array($6, '-')::numeric[]
          ORDER BY id FOR UPDATE))
SELECT id FROM recorded
