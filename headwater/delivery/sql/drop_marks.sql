-- Forget how streams were that have begun again.
-- $1 app, $2 streams -> nothing
DELETE FROM headwater.mark WHERE app = $1 AND stream = ANY ($2::text[])
