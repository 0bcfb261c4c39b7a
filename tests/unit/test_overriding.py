"""What may be changed while a process runs, and what a row of any content does to its settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.config import Settings
from headwater.config.overriding import changeable, overlaid, override, stored_name
from headwater.errors import SettingsError

NAMES = st.sampled_from([field.name for field in changeable()])
BEFORE = Settings()


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("USE_TEMPORAL_FOR_AUTH", "1", ("USE_TEMPORAL_FOR_AUTH", "true")),
        ("HEADWATER_TENANT_SYNC_USE_TEMPORAL", "off", ("USE_TEMPORAL_FOR_AUTH", "false")),
        ("tenant_sync.use_temporal", "true", ("USE_TEMPORAL_FOR_AUTH", "true")),
        ("TEMPORAL_AUTH_TIMEOUT_MS", "1500", ("TEMPORAL_AUTH_TIMEOUT_MS", "1500")),
        ("HEADWATER_TENANT_SYNC_TEMPORAL_TIMEOUT", "2m", ("TEMPORAL_AUTH_TIMEOUT_MS", "120000")),
        ("TEMPORAL_TENANTS", " a , b", ("TEMPORAL_TENANTS", "a,b")),
        ("TEMPORAL_TENANTS", "", ("TEMPORAL_TENANTS", "")),
    ],
)
def test_a_setting_is_stored_under_one_name_and_in_its_unit(
    name: str, value: str, stored: tuple[str, str]
) -> None:
    assert override(name, value) == stored
    assert stored_name(name) == stored[0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("USE_TEMPORAL", "true", "did you mean USE_TEMPORAL_FOR_AUTH?"),
        ("TEMPORAL_ADDRESS", "localhost:1", "read when a process starts"),
        ("HEADWATER_REDIS_URL", "redis://elsewhere", "read when a process starts"),
        ("TEMPORAL_AUTH_TIMEOUT_MS", "0", "from 1000"),
        ("TEMPORAL_AUTH_TIMEOUT_MS", "soon", "a number of milliseconds"),
        ("USE_TEMPORAL_FOR_AUTH", "perhaps", "true or false"),
    ],
)
def test_what_can_not_be_put_in_force_is_refused_with_what_could(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        override(name, value)

    assert said in f"{refused.value} {refused.value.hint}"


def test_a_row_is_in_force_over_what_the_process_was_started_with_and_says_so() -> None:
    found = overlaid(BEFORE, {"USE_TEMPORAL_FOR_AUTH": "true", "TEMPORAL_AUTH_TIMEOUT_MS": "1500"})

    assert found.refused == {}
    assert found.settings.tenant_sync.use_temporal
    assert found.settings.tenant_sync.temporal_timeout == 1.5
    assert found.settings.source_of("tenant_sync.use_temporal") == "override USE_TEMPORAL_FOR_AUTH"
    assert not BEFORE.tenant_sync.use_temporal


@given(st.dictionaries(st.one_of(NAMES, st.text(max_size=20)), st.text(max_size=20), max_size=6))
def test_rows_of_any_content_change_what_may_be_changed_or_are_told_of(rows: dict[str, str]) -> None:
    settings, refused = overlaid(BEFORE, rows)

    untouched = [name for name in Settings.__struct_fields__ if name not in {"tenant_sync", "sources"}]
    assert [getattr(settings, name) for name in untouched] == [getattr(BEFORE, name) for name in untouched]
    assert len(rows) - len(refused) <= len(changeable())
    again = overlaid(BEFORE, {name: value for name, value in rows.items() if name not in refused})
    assert (again.settings, again.refused) == (settings, {})


@given(st.booleans(), st.integers(0, 10_000), st.lists(st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True)))
def test_what_is_stored_reads_as_what_was_meant(use: bool, users: int, tenants: list[str]) -> None:
    meant = {
        "USE_TEMPORAL_FOR_AUTH": str(use),
        "HEADWATER_TENANT_SYNC_TEMPORAL_USERS": str(users),
        "TEMPORAL_TENANTS": ",".join(tenants),
    }
    found = overlaid(
        BEFORE, dict(override(name, value) for name, value in meant.items())
    ).settings.tenant_sync

    assert (found.use_temporal, found.temporal_users, found.temporal_tenants) == (use, users, tuple(tenants))
