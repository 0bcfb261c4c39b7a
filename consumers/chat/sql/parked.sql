-- Dead letters of users that can be applied again.
-- $1 application, $2 users or null -> (id)
SELECT id FROM headwater.dead_letter
 WHERE app = $1 AND state = 'parked' AND ($2::text[] IS NULL OR key = ANY ($2)) ORDER BY id
