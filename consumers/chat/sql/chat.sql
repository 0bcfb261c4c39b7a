-- The chat server's own tables, as far as a sync meets them: for the demo and for tests, never for production.
-- nothing -> tables
CREATE TYPE enum_users_role AS ENUM ('customer', 'usta', 'administrator');

CREATE TABLE users (
    id           uuid PRIMARY KEY,
    "externalId" uuid UNIQUE,
    name         varchar(255) NOT NULL,
    phone        varchar(255) NOT NULL UNIQUE,
    email        varchar(255) UNIQUE,
    role         enum_users_role NOT NULL DEFAULT 'customer',
    "socketId"   varchar(255),
    "isOnline"   boolean NOT NULL DEFAULT false,
    "lastSeen"   timestamptz,
    avatar       varchar(255),
    "metaData"   json,
    "createdAt"  timestamptz NOT NULL,
    "updatedAt"  timestamptz NOT NULL,
    "firstName"  varchar(255),
    "lastName"   varchar(255)
);
