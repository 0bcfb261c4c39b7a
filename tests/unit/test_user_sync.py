"""What the user sync decides: page sizes, waits, the breaker, health, the doorbell, its databases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

import headwater
from backfill.user_sync.figures import OWN, SEED, Figures
from backfill.user_sync.standing import ERRORS, MEMORY, POOL, Standing, as_seed, error_rate, health
from backfill.user_sync.turns import WARN_AT
from headwater.config import Settings, load
from headwater.config.seeds import UserSyncSettings
from headwater.errors import SettingsError
from producers.accounts.examine import judge
from producers.accounts.pace import FAILURES, LEAST, Breaker, Waits, next_size

WELL = Standing(listening=True, scheduled=True, since_last=1.0, synced=1000)


@given(size=st.integers(1, 10_000), seconds=st.floats(0, 100), most=st.integers(25, 10_000))
def test_a_page_stays_within_its_bounds_and_shrinks_when_slow(size: int, seconds: float, most: int) -> None:
    following = next_size(min(size, most), seconds, most)

    assert LEAST <= following <= most
    if seconds > 1.0:
        assert following <= max(LEAST, min(size, most))


def test_pages_of_a_slow_database_shrink_to_the_least_and_of_a_quick_one_grow_to_the_most() -> None:
    slow = quick = 500
    for _ in range(10):
        slow, quick = next_size(slow, 2.0, 500), next_size(slow, 0.01, 500)

    assert (slow, next_size(250, 0.5, 500)) == (LEAST, 250)
    assert next_size(400, 0.01, 500) == 500
    assert quick == 2 * LEAST


@given(st.integers(1, 10_000))
def test_waits_grow_by_their_factor_and_never_beyond_the_longest(retry: int) -> None:
    waits = Waits(first=1.0, longest=30.0, factor=2.0)

    assert 1.0 <= waits.before(retry) <= 30.0
    assert [waits.before(n) for n in range(1, 7)] == [1, 2, 4, 8, 16, 30]


@given(st.lists(st.booleans(), max_size=40))
def test_the_breaker_is_open_exactly_after_five_failures_in_a_row(outcomes: list[bool]) -> None:
    breaker = Breaker(pause=60.0)
    in_a_row = 0
    for worked in outcomes:
        breaker = breaker.worked() if worked else breaker.failed()
        in_a_row = 0 if worked else in_a_row + 1

        assert (breaker.state == "open") == (in_a_row >= FAILURES)
        assert (breaker.rest > 0) == (breaker.state == "open")
        assert breaker.rest <= 600.0


def test_each_failed_probe_doubles_the_pause_until_it_is_ten_times_as_long() -> None:
    breaker, pauses = Breaker(pause=60.0, failures=FAILURES - 1), []
    for _ in range(6):
        breaker = breaker.failed()
        pauses.append(breaker.rest)

    assert pauses == [60, 120, 240, 480, 600, 600]


def test_all_is_well_says_so() -> None:
    found = health(WELL)

    assert found.status == "HEALTHY"
    assert all(found.checks.values())
    assert found.recommendations == ["All systems operational"]


@pytest.mark.parametrize(
    ("wrong", "check", "status"),
    [
        ({"slow": True}, "sweepWithinInterval", "HEALTHY"),
        ({"errors": 11, "synced": 989}, "lowErrorRate", "HEALTHY"),
        ({"pool": 0.81}, "poolHeadroom", "HEALTHY"),
        ({"memory": 501.0}, "memoryBelowLimit", "HEALTHY"),
        ({"failures": 5}, "fewConsecutiveFailures", "UNHEALTHY"),
        ({"since_last": 601.0}, "recentSyncSuccess", "UNHEALTHY"),
        ({"scheduled": False}, "scheduledSyncActive", "UNHEALTHY"),
        ({"listening": False, "attempts": 9}, "realtimeSyncActive", "HEALTHY"),
        ({"listening": False, "attempts": 10}, "realtimeSyncActive", "UNHEALTHY"),
    ],
)
def test_each_threshold_shows_and_says_what_to_do(wrong: dict[str, Any], check: str, status: str) -> None:
    found = health(Standing(**{**{name: getattr(WELL, name) for name in WELL.__struct_fields__}, **wrong}))

    assert [name for name, well in found.checks.items() if not well] == [check]
    assert found.status == status
    assert len(found.recommendations) == 1


@pytest.mark.parametrize(
    "just", [{"pool": 0.8}, {"memory": 500.0}, {"failures": 4}, {"errors": 10, "synced": 990}]
)
def test_at_its_threshold_nothing_is_wrong_yet(just: dict[str, Any]) -> None:
    same = {name: getattr(WELL, name) for name in WELL.__struct_fields__}

    assert all(health(Standing(**{**same, **just})).checks.values())


def test_the_error_rate_counts_each_failure_once() -> None:
    assert error_rate(Standing()) == 0.0
    assert error_rate(Standing(synced=99, errors=1)) == 0.01


def test_the_statistics_have_every_name_that_the_existing_service_gives() -> None:
    names = {
        *("totalSynced", "lastSyncTime", "lastSyncDuration", "errors", "consecutiveFailures", "lastError"),
        *("realtimeSyncActive", "scheduledSyncActive", "isRealTimeActive", "isSyncInProgress"),
        *("timeSinceLastSyncSeconds", "lastSyncDurationSeconds", "realtimeReconnectAttempts"),
        "healthStatus",
    }

    given = as_seed(WELL)

    assert names <= given.keys()
    assert given["healthStatus"].keys() == {"status", "checks", "recommendations"}
    assert {"realtimeSyncActive", "scheduledSyncActive", "recentSyncSuccess", "lowErrorRate"} <= (
        given["healthStatus"]["checks"].keys()
    )


OURS = {
    "name": "user_changes_trigger",
    "function": "notify_user_changes",
    "source": "PERFORM pg_notify('user_changes', '')",
    "statement": True,
    "enabled": True,
    "events": True,
}


@pytest.mark.parametrize(
    ("triggers", "found"),
    [
        ([OURS], []),
        ([], ["missing"]),
        ([{**OURS, "statement": False}], ["foreign"]),
        ([{**OURS, "function": "other", "source": ""}], ["foreign"]),
        ([{**OURS, "source": "pg_notify('user_changes', row_to_json(NEW)::text)"}], ["foreign"]),
        ([{**OURS, "events": False}], ["foreign"]),
        ([{**OURS, "enabled": False}], ["switched off"]),
        ([OURS, {**OURS, "name": "again"}], ["doubled"]),
        ([OURS, {**OURS, "name": "b", "function": "f", "source": "NOTIFY user_changes"}], ["doubled"]),
        ([OURS, {**OURS, "name": "set_updated_at", "function": "touch", "source": "NEW.x := now()"}], []),
    ],
)
def test_a_doorbell_that_is_missing_foreign_off_or_doubled_is_told(
    triggers: list[dict[str, Any]], found: list[str]
) -> None:
    assert [one.detail.partition(":")[0] for one in judge(triggers)] == found


def settings(tmp: Any, **variables: str) -> Settings:
    return load(tmp, variables)


def test_the_databases_are_where_the_existing_service_s_variables_say(tmp_path: Any) -> None:
    source = {"SOURCE_DB_HOST": "db", "SOURCE_DB_NAME": "myusta_backend", "SOURCE_DB_USER": "u@x"}
    chat = {"CHAT_DB_HOST": "chat", "CHAT_DB_PORT": "6543", "CHAT_DB_NAME": "myusta_chatapp"}

    found = load(tmp_path, {**source, **chat, "SOURCE_DB_PASSWORD": "p/w"})

    assert found.user_sync.source is not None
    assert found.user_sync.source.reveal() == "postgresql://u%40x:p%2Fw@db:5432/myusta_backend"
    assert found.apps["chat"].reveal() == "postgresql://chat:6543/myusta_chatapp"
    assert "p/w" not in repr(found)


def test_our_own_variables_are_stronger(tmp_path: Any) -> None:
    found = settings(
        tmp_path,
        CHAT_DB_HOST="a",
        CHAT_DB_NAME="b",
        HEADWATER_APP_CHAT_URL="postgresql://ours/c",
        SOURCE_DB_HOST="a",
        SOURCE_DB_NAME="b",
        HEADWATER_USER_SYNC_SOURCE_URL="postgresql://ours/s",
    )

    assert found.apps["chat"].reveal() == "postgresql://ours/c"
    assert found.user_sync.source is not None
    assert found.user_sync.source.reveal() == "postgresql://ours/s"


def test_a_host_without_a_database_is_refused() -> None:
    with pytest.raises(SettingsError, match="SOURCE_DB_HOST"):
        UserSyncSettings(source_host="db")


RULES = yaml.safe_load((Path(headwater.__file__).parents[1] / "deploy/prometheus/user-sync.yml").read_text())


def test_the_alert_rules_ask_for_metrics_that_there_are_at_the_thresholds_of_health() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    asked = [re.findall(r"(\w*sync_\w+) ?([<>=]*) ?([\d.]*)", rule["expr"]) for rule in rules]
    limits = {name: float(limit) for some in asked for name, _, limit in some if limit}

    assert {name for some in asked for name, *_ in some} <= {*SEED, *OWN}
    assert limits["headwater_user_sync_interval_ratio"] == WARN_AT
    assert limits["headwater_user_sync_error_ratio"] == ERRORS
    assert limits["headwater_user_sync_pool_ratio"] == POOL
    assert limits["headwater_user_sync_memory_mib"] == MEMORY
    assert limits["sync_consecutive_failures"] == FAILURES
    assert all({"summary", "action"} == rule["annotations"].keys() for rule in rules)


def test_every_figure_is_shown_and_what_is_unknown_is_no_zero() -> None:
    registry = CollectorRegistry()
    Figures(registry).show(Standing(synced=7, listening=True, last_seconds=30.0))

    shown = dict(
        line.split(" ")
        for line in generate_latest(registry).decode().splitlines()
        if not line.startswith("#")
    )

    assert shown.keys() == {*SEED, *OWN}
    assert (shown["sync_total_synced"], shown["sync_realtime_active"]) == ("7.0", "1.0")
    assert shown["headwater_user_sync_interval_ratio"] == "0.5"
    assert shown["headwater_user_sync_memory_mib"] == "NaN"
