-- The source's `users`, as the existing service has it: for the demo and for tests.
-- many statements -> tables
CREATE TYPE auth_provider AS ENUM ('email', 'phone', 'google', 'facebook');
CREATE TYPE user_role AS ENUM ('customer', 'usta');
CREATE TYPE user_status AS ENUM ('active', 'inprogress', 'inactive', 'blocked');
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    first_name varchar(255),
    last_name varchar(255),
    email varchar(255),
    phone varchar(255),
    password varchar(255),
    google_id varchar(255),
    facebook_id varchar(255),
    profile_picture varchar(255),
    email_verified bool DEFAULT false,
    phone_verified bool DEFAULT false,
    notification_via_app bool DEFAULT true,
    notification_via_email bool DEFAULT true,
    notification_via_sms bool DEFAULT false,
    terms_and_conditions bool DEFAULT false,
    is_verified bool DEFAULT false,
    is_featured bool DEFAULT false,
    auth_provider auth_provider DEFAULT 'email',
    role user_role DEFAULT 'customer',
    status user_status DEFAULT 'inactive',
    customer_preferences json,
    ratings_average numeric(3, 2),
    ratings_total int DEFAULT 0,
    total_hires int DEFAULT 0,
    total_views int DEFAULT 0,
    last_hired_at timestamptz,
    search_boost numeric(6, 2) DEFAULT 0,
    bio text,
    notification_preference jsonb,
    security_settings jsonb,
    privacy_settings jsonb,
    account_status varchar(255) DEFAULT 'active',
    preferred_job_types jsonb,
    job_budget jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
