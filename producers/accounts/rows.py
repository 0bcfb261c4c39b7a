"""From a row of `users` to the event that states it: the same for sweeps and for the bulk sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from headwater.event import Event
from producers.rows import Row, text
from schemas.accounts import AccountChanged, AccountDeleted

_AS_THEY_ARE = (
    *("first_name", "last_name", "email", "phone", "has_password", "google_id", "facebook_id"),
    *("profile_picture", "auth_provider", "role", "account_status", "search_boost", "ratings_average"),
    *("ratings_total", "total_hires", "total_views", "last_hired_at", "bio", "created_at", "updated_at"),
)
_SWITCHES: Mapping[str, Any] = {
    **dict.fromkeys(("email_verified", "phone_verified", "terms_and_conditions"), False),
    **dict.fromkeys(("is_verified", "is_featured", "notification_via_sms"), False),
    **dict.fromkeys(("notification_via_app", "notification_via_email"), True),
}
"""A null stands for the column's default."""
_TREES = (
    *("customer_preferences", "notification_preference", "security_settings", "privacy_settings"),
    *("preferred_job_types", "job_budget"),
)


def account(row: Row) -> AccountChanged:
    """The state of a row. Raises EventError, MsgspecError for a tree that is no JSON."""
    return AccountChanged(
        account_id=str(row["id"]),
        status=row["status"] or "inactive",
        **{name: row[name] for name in _AS_THEY_ARE},
        **{name: other if row[name] is None else row[name] for name, other in _SWITCHES.items()},
        **{name: _tree(row[name]) for name in _TREES},
    )


def change(row: Row) -> Event:
    """What a page of a sweep says about a row: its state, or that it is gone."""
    if row["gone"]:
        return AccountDeleted(account_id=str(row["id"]), deleted_at=row["updated_at"])
    return account(row)


def key(row: Row) -> str:
    """The account a row is about."""
    return text(row["id"]) or ""


def _tree(stored: str | None) -> Any:
    return None if stored is None else msgspec.json.decode(stored)
