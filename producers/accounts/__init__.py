"""Accounts: says what becomes of the source's `users`, which an application writes that knows nothing of us.

Its writes never fail and never wait because of us: a change draws a version and rings a bell, and that is
all. What changed is found by sweeps, which read the difference of two snapshots and put it into the outbox
of that database.
"""

from __future__ import annotations

from pathlib import Path

from headwater.database import load
from headwater.database.attach import Attached
from schemas.accounts import ACCOUNTS

table = load(__file__, "table")
"""DDL of the source's `users`, for the demo and for tests."""

MIGRATIONS = ("user-sync", Path(__file__).parent / "migrations")
"""(role, folder) of what sweeps need, to apply after the engine's."""

attached = Attached(
    "users",
    ACCOUNTS.name,
    None,
    "id",
    (
        *("first_name", "last_name", "email", "email_verified", "phone", "phone_verified", "password"),
        *("google_id", "facebook_id", "profile_picture", "auth_provider", "role", "status", "account_status"),
        *("terms_and_conditions", "is_verified", "is_featured", "search_boost", "ratings_average"),
        *("ratings_total", "total_hires", "total_views", "last_hired_at", "bio", "notification_via_app"),
        *("notification_via_email", "notification_via_sms", "customer_preferences"),
        *("notification_preference", "security_settings", "privacy_settings", "preferred_job_types"),
        "job_budget",
    ),
)
"""The columns that events carry: what else changes draws no version."""

__all__ = ["MIGRATIONS", "attached", "table"]
