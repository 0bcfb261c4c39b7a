"""Health of tenant syncs, what is told of one, and the alert rules: the documented thresholds."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

import headwater
from backfill.tenant_sync.checks import findings
from backfill.tenant_sync.figures import GAUGES, Figures
from backfill.tenant_sync.health import DEGRADED, SLOW, STATUSES, STUCK, UNHEALTHY, Hour, alerts, status_of
from backfill.tenant_sync.states import Standing, next_step
from backfill.tenant_sync.told import needs_sync

COUNTS = st.integers(0, 1000)
HOURS = st.builds(Hour, completed=COUNTS, failed=COUNTS, stuck=st.integers(0, 10), active=COUNTS)
STANDINGS = st.builds(
    Standing,
    phase=st.sampled_from(("independent", "dependent", "completed")),
    busy=st.booleans(),
    known=st.booleans(),
    unfinished=st.booleans(),
    due=st.booleans(),
)
RULES = yaml.safe_load(
    (Path(headwater.__file__).parents[1] / "deploy/prometheus/tenant-sync.yml").read_text(encoding="utf-8")
)


@given(HOURS)
def test_health_is_what_its_two_thresholds_say(hour: Hour) -> None:
    ended = hour.completed + hour.failed
    above = {limit: hour.failed * 100 > ended * limit for limit in (5, 20)}

    expected = "healthy"
    if above[5] or hour.stuck > 0:
        expected = "degraded"
    if above[20] or hour.stuck > 5:
        expected = "unhealthy"
    assert status_of(hour) == expected


@given(HOURS, st.integers(0, 50), st.integers(0, 50))
def test_health_gets_no_better_by_more_failures_or_more_that_is_stuck(
    hour: Hour, failed: int, stuck: int
) -> None:
    worse = Hour(completed=hour.completed, failed=hour.failed + failed, stuck=hour.stuck + stuck)

    assert STATUSES.index(status_of(worse)) >= STATUSES.index(status_of(hour))


@given(STANDINGS)
def test_a_tenant_needs_a_sync_when_a_login_would_make_one_now_or_later(seen: Standing) -> None:
    needed = needs_sync(seen)

    assert not (seen.busy and needed)
    if next_step(seen, force=False) in {"run", "finish"}:
        assert needed
    if not needed and not seen.busy:
        assert seen.known
        assert not seen.unfinished
        assert seen.phase == "completed"


def test_a_tenant_that_nobody_synced_needs_one() -> None:
    assert needs_sync(None)


def test_the_alert_rules_ask_for_figures_that_there_are_at_the_documented_thresholds() -> None:
    rules = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
    asked = {name for rule in rules.values() for name in re.findall(r"headwater_\w+", rule["expr"])}
    limits = {
        name: float(rule["expr"].rpartition(">")[2]) for name, rule in rules.items() if ">" in rule["expr"]
    }
    labels = {
        name for rule in rules.values() for name in re.findall(r"[{,](\w+)=", rule["expr"].replace(" ", ""))
    }

    assert asked <= set(GAUGES)
    assert limits == {
        "TenantSyncFailing": DEGRADED,
        "TenantSyncSlow": SLOW,
        "TenantSyncStuck": 0,
        "TenantSyncEntityCredits": 0,
    }
    assert labels <= {label for _, some in GAUGES.values() for label in some}
    assert "for" not in rules["TenantSyncStuck"]
    assert all({"summary", "action"} == rule["annotations"].keys() for rule in rules.values())
    assert (DEGRADED, UNHEALTHY, STUCK, SLOW) == (0.05, 0.20, 5, 10.0)


def test_figures_that_can_not_be_read_are_no_zeros() -> None:
    registry = CollectorRegistry()
    Figures(registry).show(None)

    shown = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]

    assert {line.rpartition(" ")[2] for line in shown} == {"NaN"}
    assert not [line for line in shown if "health" in line]


@given(HOURS, st.dictionaries(st.sampled_from(("users", "entityCredits")), st.integers(0, 5)))
def test_the_doctor_says_what_health_says_and_names_what_is_missing(
    hour: Hour, lacking: dict[str, int]
) -> None:
    found = {one.check: one for one in findings(hour, lacking)}

    verdict = {"healthy": "ok", "degraded": "warn", "unhealthy": "fail"}[status_of(hour)]
    assert found["tenant sync health"].state == verdict
    assert ("tenant sync stuck" in found) == (hour.stuck > 0)
    assert ("tenant sync collections" in found) == any(lacking.values())
    assert all(one.fix for one in found.values() if one.state != "ok")


@given(HOURS, st.one_of(st.none(), st.floats(0, 100)), st.integers(0, 5))
def test_what_health_calls_an_alert_is_what_the_rules_would(
    hour: Hour, average: float | None, lacking: int
) -> None:
    passed = {one.name: one for one in alerts(hour, average=average, credits_lacking=lacking)}
    rules = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}

    assert set(passed) <= set(rules)
    assert all(one.severity == rules[name]["labels"]["severity"] for name, one in passed.items())
    assert ("TenantSyncStuck" in passed) == (hour.stuck > 0)
    assert ("TenantSyncEntityCredits" in passed) == (lacking > 0)
    assert ("TenantSyncUnhealthy" in passed) == (status_of(hour) != "healthy")
    assert ("TenantSyncFailing" in passed) == (hour.failure_rate > DEGRADED)
    assert ("TenantSyncSlow" in passed) == (average is not None and average > SLOW)
