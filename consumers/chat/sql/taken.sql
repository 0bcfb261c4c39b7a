-- Users that can not be written: what has to be unique is that of another user, who keeps it. Of those said together the one that has it
-- keeps it, then the first. E-mails count only where the chat keeps them unique.
-- $1 rows as JSON -> (id, what, owner)
WITH said AS MATERIALIZED (
    SELECT "externalId" AS id, phone, email FROM json_populate_recordset(NULL::users, $1::text::json)
), strict AS (
    SELECT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = 'users'::regclass AND i.indisunique AND i.indnkeyatts = 1 AND a.attname = 'email') AS email
), wanted AS (
    SELECT id, 'phone' AS what, phone AS value FROM said
     UNION ALL
    SELECT id, 'email', said.email FROM said, strict WHERE strict.email AND said.email IS NOT NULL
), ranked AS (
    SELECT w.*, first_value(w.id) OVER (PARTITION BY w.what, w.value ORDER BY (u.id IS NOT NULL) DESC, w.id) AS first
      FROM wanted AS w
      LEFT JOIN users AS u
        ON u."externalId" = w.id AND CASE w.what WHEN 'phone' THEN u.phone ELSE u.email END = w.value
), foreign_owner AS (
    SELECT r.id, r.what, coalesce(u."externalId", u.id) AS owner
      FROM ranked AS r JOIN users AS u ON r.what = 'phone' AND u.phone = r.value
     WHERE u."externalId" IS NULL OR NOT EXISTS (SELECT FROM said WHERE said.id = u."externalId")
     UNION ALL
    SELECT r.id, r.what, coalesce(u."externalId", u.id)
      FROM ranked AS r JOIN users AS u ON r.what = 'email' AND u.email = r.value
     WHERE u."externalId" IS NULL OR NOT EXISTS (SELECT FROM said WHERE said.id = u."externalId")
)
SELECT DISTINCT ON (id) id::text, what, owner::text
  FROM (SELECT id, what, owner FROM foreign_owner
         UNION ALL
        SELECT id, what, first FROM ranked WHERE id <> first) AS found
 ORDER BY id, what DESC
