-- From when on runs that have not ended say rows again.
-- $1 seconds after which a run that stands still counts as given up -> instant or null
SELECT min((span ->> 'since')::timestamptz) FROM headwater.republish
 WHERE state = 'running' AND moved_at > clock_timestamp() - $1::float8 * interval '1 second'
