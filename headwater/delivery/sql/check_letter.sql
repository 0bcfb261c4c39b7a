-- Whether a letter is still this taker's; until this transaction ends it stays so.
-- $1 id, $2 tries, which no two takers have alike -> 1 or no row
SELECT 1 FROM headwater.dead_letter WHERE id = $1 AND tries = $2 AND state = 'replaying' FOR SHARE
