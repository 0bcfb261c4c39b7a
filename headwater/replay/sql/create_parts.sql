-- The subjects of a job, in order.
-- $1 job, $2 subjects -> nothing
INSERT INTO headwater.job_part (job, subject, place)
SELECT $1, s.subject, s.place FROM unnest($2::text[]) WITH ORDINALITY AS s (subject, place)
