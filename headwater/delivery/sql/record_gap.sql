-- Record that entries are gone which were delivered or due.
-- $1 app, $2 stream, $3 kind, $4 entry, $5 how many -> nothing
INSERT INTO headwater.gap (app, stream, kind, entry, entries) VALUES ($1, $2, $3, $4, $5)
