-- Record that entries fell off the pending list with the name that held them.
-- $1 app, $2 stream, $3 entry or '', $4 how many -> nothing
INSERT INTO headwater.gap (app, stream, kind, entry, entries) VALUES ($1, $2, 'deleted_while_pending', $3, $4)
