-- Users of the source, whatever their status: they belong to no tenant.
-- $1 realm, $2 app -> rows of users with key, version, created_at, changed_at
SELECT u.id::text AS key, u.headwater_version AS version, u.created_at, u.updated_at AS changed_at, u.id,
       u.first_name, u.last_name, u.email, u.email_verified, u.phone, u.phone_verified,
       coalesce(u.password, '') <> '' AS has_password, u.google_id, u.facebook_id, u.profile_picture,
       u.auth_provider::text, u.role::text, u.status::text, u.account_status, u.terms_and_conditions, u.is_verified,
       u.is_featured, u.search_boost, u.ratings_average, u.ratings_total, u.total_hires, u.total_views,
       u.last_hired_at, u.bio, u.notification_via_app, u.notification_via_email, u.notification_via_sms,
       u.customer_preferences::text, u.notification_preference::text, u.security_settings::text,
       u.privacy_settings::text, u.preferred_job_types::text, u.job_budget::text, u.updated_at
  FROM users AS u
 WHERE $1::text IS NOT NULL AND $2::text IS NOT NULL
