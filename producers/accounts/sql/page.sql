-- Changes that `target` sees and `seen` did not, in the order of their transactions: rows as they are, and tombstones of rows
-- that are gone. A row that changed again since `target` belongs to the next pass.
-- $1 seen, $2 target, $3 transaction and $4 key behind which to go on (null: from the start), $5 most, $6 realm -> rows, `gone` first
SELECT *
  FROM ((SELECT false AS gone, u.headwater_xid::text AS xid, u.headwater_xid AS place, u.id, u.headwater_version AS version,
                u.first_name, u.last_name, u.email, u.email_verified, u.phone, u.phone_verified,
                coalesce(u.password, '') <> '' AS has_password, u.google_id, u.facebook_id, u.profile_picture,
                u.auth_provider::text, u.role::text, u.status::text, u.account_status, u.terms_and_conditions,
                u.is_verified, u.is_featured, u.search_boost, u.ratings_average, u.ratings_total, u.total_hires,
                u.total_views, u.last_hired_at, u.bio, u.notification_via_app, u.notification_via_email,
                u.notification_via_sms, u.customer_preferences::text, u.notification_preference::text,
                u.security_settings::text, u.privacy_settings::text, u.preferred_job_types::text, u.job_budget::text,
                u.created_at, u.updated_at
           FROM users AS u
          WHERE u.headwater_xid >= coalesce($3::text::xid8, pg_snapshot_xmin($1::text::pg_snapshot))
            AND u.headwater_xid < pg_snapshot_xmax($2::text::pg_snapshot)
            AND ($4::text IS NULL OR (u.headwater_xid, u.id) > ($3::text::xid8, $4::text::uuid))
            AND pg_visible_in_snapshot(u.headwater_xid, $2::text::pg_snapshot)
            AND NOT pg_visible_in_snapshot(u.headwater_xid, $1::text::pg_snapshot)
          ORDER BY u.headwater_xid, u.id LIMIT $5::int)
         UNION ALL
        (SELECT true, t.xid::text, t.xid, t.key::uuid, t.version,
                null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
                null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, t.deleted_at
           FROM headwater.tombstone AS t
          WHERE t.subject = 'accounts' AND t.tenant = $6::text
            AND t.xid >= coalesce($3::text::xid8, pg_snapshot_xmin($1::text::pg_snapshot))
            AND t.xid < pg_snapshot_xmax($2::text::pg_snapshot)
            AND ($4::text IS NULL OR (t.xid, t.key::uuid) > ($3::text::xid8, $4::text::uuid))
            AND pg_visible_in_snapshot(t.xid, $2::text::pg_snapshot)
            AND NOT pg_visible_in_snapshot(t.xid, $1::text::pg_snapshot)
            AND NOT EXISTS (SELECT FROM users AS u WHERE u.id = t.key::uuid)
          ORDER BY t.xid, t.key::uuid LIMIT $5::int)) AS changes
 ORDER BY place, id LIMIT $5::int
