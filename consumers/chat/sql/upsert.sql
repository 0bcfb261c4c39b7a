-- Write users; what the chat server keeps itself (id, socketId, isOnline, lastSeen, createdAt) stays as it is. A new one gets another
-- id where a row of the chat server's own has that.
-- $1 rows as JSON -> nothing
INSERT INTO users AS u (id, "externalId", name, phone, email, role, "isOnline", avatar, "metaData", "createdAt", "updatedAt",
                        "firstName", "lastName")
SELECT CASE WHEN EXISTS (SELECT FROM users AS t WHERE t.id = r.id AND t."externalId" IS DISTINCT FROM r."externalId")
            THEN gen_random_uuid() ELSE id END,
       "externalId", name, phone, email, role, false, avatar, "metaData", coalesce("createdAt", now()),
       coalesce("updatedAt", now()), "firstName", "lastName"
  FROM json_populate_recordset(NULL::users, $1::text::json) AS r
 ORDER BY "externalId"
    ON CONFLICT ("externalId") DO UPDATE
   SET (name, phone, email, role, avatar, "metaData", "updatedAt", "firstName", "lastName")
     = (excluded.name, excluded.phone, excluded.email, excluded.role, excluded.avatar, excluded."metaData", excluded."updatedAt",
        excluded."firstName", excluded."lastName")
