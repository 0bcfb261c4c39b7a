-- Begin to say rows again.
-- $1 by whom, $2 span, $3 gaps that are open, $4 rows found, $5 everything up to this id lies before it, $6 the last id -> id
INSERT INTO headwater.republish (asked_by, span, asked, rows_found, position, last)
VALUES ($1, $2::text::json, $3::text::json, $4, $5, $6)
RETURNING id
