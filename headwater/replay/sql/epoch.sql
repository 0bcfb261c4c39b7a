-- The source's epoch.
-- nothing -> number
SELECT epoch FROM headwater.meta
