-- Up to when published rows may be gone from the outbox.
-- nothing -> a time, or no row when none ever was removed
SELECT removed_until FROM headwater.outbox_floor
