-- One run that says rows again.
-- $1 id -> its row
SELECT id, state, asked_by, span::text AS span, asked::text AS asked, rows_found, position, last, rows_said, entries, skipped,
       refused, reached::text AS reached, refusing
  FROM headwater.republish WHERE id = $1
