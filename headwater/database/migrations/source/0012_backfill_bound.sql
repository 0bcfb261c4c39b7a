-- migrate:up
-- The last key a job reads of each subject, drawn when it begins: a subject that grows faster than it is read ends, too.

ALTER TABLE headwater.job_part ADD COLUMN bound json;
COMMENT ON COLUMN headwater.job_part.bound IS 'order columns as text; []: there was nothing; null: not drawn yet';

-- migrate:down
ALTER TABLE headwater.job_part DROP COLUMN bound;
