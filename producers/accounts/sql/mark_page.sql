-- Write down how far a pass is.
-- $1 epoch, $2 transaction, $3 key, $4 how many were said -> true; no row: another sweeper has taken over
UPDATE user_sync.sweep SET at_xid = $2::text::xid8, at_key = $3::text::uuid, said = said + $4::bigint
 WHERE epoch = $1::bigint RETURNING true
