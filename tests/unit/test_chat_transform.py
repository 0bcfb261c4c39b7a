"""An account becomes the chat's row exactly as the existing service writes it, rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.chat.transform import BUDGET, PRIVACY, SECURITY, metadata, phone, row
from schemas.accounts import AccountChanged

ID = "7f2c1a34-0b6e-4d1f-9a57-3d2b8c6e5f10"


def account(**known: Any) -> AccountChanged:
    return AccountChanged(**{"account_id": ID, "status": "active", **known})


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        ("Ada", "Byron", "Ada Byron"),
        ("  Ada ", "\tByron\n", "Ada Byron"),
        ("Ada", None, "Ada"),
        ("Ada", "   ", "Ada"),
        (None, "Byron", "Byron"),
        ("", "", "User 7f2c1a34"),
        (None, None, "User 7f2c1a34"),
        ("\ufeff\u3000", "\u00a0", "User 7f2c1a34"),
        ("\x1c", None, "\x1c"),  # no white space in JavaScript
        ("Ada Maria", "da Silva", "Ada Maria da Silva"),
        ("👩‍🚀", "ß", "👩‍🚀 ß"),
    ],
)
def test_a_name_is_made_of_what_is_there(first: str | None, last: str | None, name: str) -> None:
    found = row(account(first_name=first, last_name=last))

    assert found["name"] == name
    assert (found["firstName"], found["lastName"]) == (first, last)  # as they are, not trimmed


@pytest.mark.parametrize(
    ("given_phone", "account_id", "written"),
    [
        ("+355 69 123 4567", ID, "355691234567"),
        ("(069) 12-34.567", ID, "0691234567"),
        ("0", ID, "0"),
        ("٠٦٩", "00000001-0000-4000-8000-000000000000", "9000000001"),  # other digits are none
        (None, "ffffffff-0000-4000-8000-000000000000", "9429496729"),
        ("", "00000001-0000-4000-8000-000000000000", "9000000001"),
        ("   ", "00000000-0000-4000-8000-000000000000", "9000000000"),
        ("unknown", "0000000a-0000-4000-8000-000000000000", "9000000010"),
        (None, "3b9ac9ff-0000-4000-8000-000000000000", "9999999999"),
        (None, "3b9aca00-0000-4000-8000-000000000000", "9100000000"),
    ],
)
def test_a_phone_is_its_digits_or_a_placeholder_of_the_id(
    given_phone: str | None, account_id: str, written: str
) -> None:
    assert phone(given_phone, account_id) == written


@given(st.text() | st.none(), st.uuids())
def test_a_phone_is_always_digits_and_never_empty(given_phone: str | None, account_id: Any) -> None:
    found = phone(given_phone, str(account_id))

    assert found.isascii()
    assert found.isdigit()
    digits = "".join(one for one in given_phone or "" if one in "0123456789")
    assert found == (digits or found)
    assert digits or (found[0] == "9" and len(found) == 10)


@pytest.mark.parametrize(
    ("role", "written"),
    [
        *(("customer", "customer"), ("usta", "usta"), ("service_provider", "usta"), ("provider", "usta")),
        *(("admin", "administrator"), ("administrator", "administrator"), ("super_admin", "administrator")),
        *(("Usta", "usta"), ("SUPER_ADMIN", "administrator"), ("guest", "customer"), ("", "customer")),
        *((None, "customer"), (" usta", "customer"), ("constructor", "customer")),
    ],
)
def test_a_role_of_the_source_is_one_of_the_chat(role: str | None, written: str) -> None:
    assert row(account(role=role))["role"] == written


@pytest.mark.parametrize(("verified", "written"), [(True, "ada@acme.example"), (False, None)])
def test_an_email_is_written_once_it_is_verified(verified: bool, written: str | None) -> None:
    assert row(account(email="ada@acme.example", email_verified=verified))["email"] == written


def test_both_ids_are_the_accounts_and_times_and_picture_are_as_they_are() -> None:
    then, now = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    found = row(account(profile_picture="a.png", created_at=then, updated_at=now))

    assert (found["id"], found["externalId"], found["avatar"]) == (ID, ID, "a.png")
    assert (found["createdAt"], found["updatedAt"]) == (then, now)


EMPTY = {
    "emailVerified": False,
    "phoneVerified": False,
    "authProvider": None,
    "googleId": None,
    "facebookId": None,
    "status": "active",
    "accountStatus": "active",
    "customerPreferences": None,
    "notificationSettings": {"app": True, "email": True, "sms": False},
    "notificationPreference": {
        "channels": {"app": True, "email": True, "sms": False},
        "categories": {
            **{
                name: {"enabled": True, "channels": ["push", "email"]}
                for name in ("jobs", "activity", "contracts", "payments", "security")
            },
            "reminders": {"enabled": True, "channels": ["push"]},
            "chat": {"enabled": True, "channels": ["push"]},
        },
        "events": {},
    },
    "securitySettings": {
        "twoFactorEnabled": False,
        "twoFactorMethods": {"email": False, "sms": False},
        "loginAlerts": {"email": True, "push": True, "sms": False},
    },
    "privacySettings": {"showOnlineStatus": True, "lastSeenVisibility": "everyone"},
    "preferredJobTypes": [],
    "jobBudget": {"min": 0, "max": 500000, "currency": "ALL"},
    "termsAccepted": False,
    "ratings": {"average": None, "total": 0, "totalHires": 0, "totalViews": 0, "lastHiredAt": None},
    "verification": {"isVerified": False, "isFeatured": False, "searchBoost": 0},
    "bio": None,
    "hasPassword": False,
}


def test_of_an_account_that_says_nothing_everything_has_its_default() -> None:
    assert metadata(account()) == EMPTY


def test_of_an_account_that_says_everything_everything_is_there() -> None:
    said = {
        "channels": {"app": False, "email": None, "sms": True, "push": True},
        "categories": {"jobs": {"enabled": False}},
    }
    found = metadata(
        account(
            email_verified=True,
            phone_verified=True,
            auth_provider="google",
            google_id="g-1",
            facebook_id="f-1",
            account_status="paused",
            customer_preferences={"language": "sq"},
            notification_via_app=True,
            notification_preference=said,
            security_settings={"twoFactorEnabled": True},
            privacy_settings={},
            preferred_job_types=["plumbing"],
            job_budget={"min": 5},
            terms_and_conditions=True,
            ratings_average=Decimal("4.5"),
            ratings_total=3,
            total_hires=2,
            total_views=1,
            last_hired_at=datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC),
            is_verified=True,
            is_featured=True,
            search_boost=Decimal("1.25"),
            bio="I repair things.",
            has_password=True,
        )
    )

    assert found == {
        **EMPTY,
        "emailVerified": True,
        "phoneVerified": True,
        "authProvider": "google",
        "googleId": "g-1",
        "facebookId": "f-1",
        "accountStatus": "paused",
        "customerPreferences": {"language": "sq"},
        "notificationSettings": {"app": False, "email": True, "sms": True},
        "notificationPreference": said,
        "securitySettings": {"twoFactorEnabled": True},
        "privacySettings": {},  # something: only nothing has a default
        "preferredJobTypes": ["plumbing"],
        "jobBudget": {"min": 5},
        "termsAccepted": True,
        "ratings": {
            "average": Decimal("4.5"),
            "total": 3,
            "totalHires": 2,
            "totalViews": 1,
            "lastHiredAt": "2026-01-02T03:04:05.678Z",
        },
        "verification": {"isVerified": True, "isFeatured": True, "searchBoost": Decimal("1.25")},
        "bio": "I repair things.",
        "hasPassword": True,
    }


@pytest.mark.parametrize(
    ("name", "key", "default"),
    [
        ("security_settings", "securitySettings", SECURITY),
        ("privacy_settings", "privacySettings", PRIVACY),
        ("preferred_job_types", "preferredJobTypes", []),
        ("job_budget", "jobBudget", BUDGET),
    ],
)
@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ('{"a": 1}', {"a": 1}),  # the text of a tree is that tree
        ("[]", []),
        ([], []),
        ("not json", None),
        ("", None),
        (None, None),
        (0, None),
        (False, None),
    ],
)
def test_a_tree_may_be_stored_as_text_and_what_is_none_has_a_default(
    name: str, key: str, default: Any, stored: Any, written: Any
) -> None:
    assert metadata(account(**{name: stored}))[key] == (default if written is None else written)


@pytest.mark.parametrize("preference", [None, "oops", '{"channels": null}', {"channels": {}}, [], "[1]", 7])
def test_where_no_preference_names_channels_the_switches_of_the_account_count(preference: Any) -> None:
    found = metadata(account(notification_preference=preference, notification_via_sms=True))
    named = preference == {"channels": {}}

    assert found["notificationSettings"]["sms"] is not named


@given(
    st.builds(
        AccountChanged,
        account_id=st.uuids().map(str),
        status=st.just("active"),
        first_name=st.none() | st.text(),
        notification_preference=st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["channels", "app", "sms", "x"]), inner, max_size=3)
            ),
        ),
    )
)
def test_whatever_an_account_holds_its_row_has_every_column_and_can_be_written(one: AccountChanged) -> None:
    found = row(one)

    assert set(found) == set(row(account()))
    assert set(found["metaData"]) == set(EMPTY)
    assert found["name"].strip()
    msgspec.json.encode(found)
