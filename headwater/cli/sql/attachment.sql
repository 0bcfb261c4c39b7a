-- How source tables are attached.
-- $1 table names -> (name, present, versioned, triggers that fire, and what was recorded when it was attached, null if never)
SELECT asked.name, to_regclass(asked.name) IS NOT NULL AS present,
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(asked.name) AND attname = 'headwater_version'
               AND NOT attisdropped) AS versioned,
       ARRAY(SELECT substr(tgname, 14) FROM pg_trigger WHERE tgrelid = to_regclass(asked.name)
             AND tgname LIKE 'zz\_headwater\_%' AND tgenabled IN ('O', 'A') ORDER BY tgname) AS triggers,
       a.subject, a.tenant_column, a.key_column, a.columns, a.recurring
  FROM unnest($1::text[]) AS asked (name)
  LEFT JOIN headwater.attached AS a ON to_regclass(a.table_name) = to_regclass(asked.name)
