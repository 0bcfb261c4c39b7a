"""From an account to its row in the chat, as the existing service writes it. Pure.

Where that is JavaScript's doing, so it is here: what counts as white space, as a digit, as nothing.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from headwater import clock
from schemas.accounts import AccountChanged

ROLES = {
    "customer": "customer",
    **dict.fromkeys(("usta", "service_provider", "provider"), "usta"),
    **dict.fromkeys(("admin", "administrator", "super_admin"), "administrator"),
}
"""Roles of the chat by those of the source, in lower case; of any other it is `customer`."""
_NO_DIGIT = re.compile(r"[^0-9]")
_SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What JavaScript trims."""
_PUSH, _BOTH = ["push"], ["push", "email"]
CATEGORIES = {
    **dict.fromkeys(("jobs", "activity", "contracts", "payments", "security"), _BOTH),
    **dict.fromkeys(("reminders", "chat"), _PUSH),
}
"""How somebody who said nothing is told of things."""
SECURITY = {
    "twoFactorEnabled": False,
    "twoFactorMethods": {"email": False, "sms": False},
    "loginAlerts": {"email": True, "push": True, "sms": False},
}
PRIVACY = {"showOnlineStatus": True, "lastSeenVisibility": "everyone"}
BUDGET = {"min": 0, "max": 500_000, "currency": "ALL"}


def row(account: AccountChanged) -> dict[str, Any]:
    """The columns that a sync writes, by name; times as they are, `metaData` as a tree."""
    return {
        "id": account.account_id,
        "externalId": account.account_id,
        "name": full_name(account),
        "phone": phone(account.phone, account.account_id),
        "email": account.email if account.email_verified else None,
        "role": ROLES.get((account.role or "").lower(), "customer"),
        "avatar": account.profile_picture,
        "metaData": metadata(account),
        "createdAt": account.created_at,
        "updatedAt": account.updated_at,
        "firstName": account.first_name,
        "lastName": account.last_name,
    }


def full_name(account: AccountChanged) -> str:
    """First and last name, or the one there is, or the beginning of the id."""
    names = [(one or "").strip(_SPACE) for one in (account.first_name, account.last_name)]
    return " ".join(filter(None, names)) or f"User {account.account_id[:8]}"


def phone(given: str | None, account_id: str) -> str:
    """The digits of a number; where there are none, a placeholder made of the id, which others may share."""
    digits = _NO_DIGIT.sub("", given or "")
    if digits:
        return digits
    number = str(int(account_id.replace("-", "")[:8], 16))[:9]
    return f"9{number:0>9}"


def metadata(account: AccountChanged) -> dict[str, Any]:
    """Everything that the chat has no column for."""
    said = account.notification_preference
    preference = _parsed(said)
    settings = _channels(account, preference)
    return {
        "emailVerified": account.email_verified,
        "phoneVerified": account.phone_verified,
        "authProvider": account.auth_provider,
        "googleId": account.google_id,
        "facebookId": account.facebook_id,
        "status": account.status,
        "accountStatus": account.account_status or "active",
        "customerPreferences": account.customer_preferences,
        "notificationSettings": settings,
        "notificationPreference": preference if _is_something(preference) else _preference(settings),
        "securitySettings": _tree(account.security_settings, SECURITY),
        "privacySettings": _tree(account.privacy_settings, PRIVACY),
        "preferredJobTypes": _tree(account.preferred_job_types, []),
        "jobBudget": _tree(account.job_budget, BUDGET),
        "termsAccepted": account.terms_and_conditions,
        "ratings": {
            "average": _number(account.ratings_average),
            "total": account.ratings_total or 0,
            "totalHires": account.total_hires or 0,
            "totalViews": account.total_views or 0,
            "lastHiredAt": account.last_hired_at and clock.stamp(account.last_hired_at),
        },
        "verification": {
            "isVerified": account.is_verified,
            "isFeatured": account.is_featured,
            "searchBoost": _number(account.search_boost) or 0,
        },
        "bio": account.bio or None,
        "hasPassword": account.has_password,
    }


def _channels(account: AccountChanged, preference: Any) -> dict[str, Any]:
    channels = preference.get("channels") if isinstance(preference, dict) else None
    if not _is_something(channels):
        return {
            "app": account.notification_via_app,
            "email": account.notification_via_email,
            "sms": account.notification_via_sms,
        }
    said = channels if isinstance(channels, dict) else {}
    default = {"app": True, "email": True, "sms": False}
    return {name: other if said.get(name) is None else said[name] for name, other in default.items()}


def _preference(settings: dict[str, Any]) -> dict[str, Any]:
    told = {name: {"enabled": True, "channels": ways} for name, ways in CATEGORIES.items()}
    return {"channels": settings, "categories": told, "events": {}}


def _tree(stored: Any, default: Any) -> Any:
    found = _parsed(stored)
    return found if _is_something(found) else default


def _parsed(stored: Any) -> Any:
    """A tree that was stored as the text of one; what is no JSON is nothing."""
    if not isinstance(stored, str):
        return stored
    try:
        return msgspec.json.decode(stored)
    except msgspec.DecodeError:
        return None


def _is_something(value: Any) -> bool:
    """What JavaScript takes for true: also an empty list or object."""
    return isinstance(value, dict | list) or bool(value)


def _number(value: Decimal | None) -> Decimal | None:
    return value or None
