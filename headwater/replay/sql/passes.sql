-- The last clean comparison of each subject.
-- $1 tenant, $2 app -> (subject, at, gap, sink)
SELECT subject, at, gap, sink FROM headwater.pass WHERE tenant = $1 AND app = $2
