-- Gaps of an application, newest first; without the closed ones unless they are asked for.
-- $1 app, $2 closed ones too -> rows
SELECT id, stream, kind, entry, entries, state, detected_at, since, upto, repair, until, repaired_by, note, closed_at
  FROM headwater.gap
 WHERE app = $1 AND ($2::bool OR state <> 'closed')
 ORDER BY id DESC
