"""Which way a tenant's sync goes, and what follows an error of Temporal's."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.tenant_sync.errors import (
    CLASSES,
    AuthError,
    InvalidError,
    NotInTime,
    NoWorker,
    SyncError,
    TemporalAway,
)
from backfill.tenant_sync.routing import STILL, Method, Size, after, allowed, route
from headwater.config.seeds import TenantSyncSettings

TENANT = "3f0e0000-0000-4000-8000-000000000001"
OTHER = "91bb0000-0000-4000-8000-000000000002"
ON = TenantSyncSettings(use_temporal=True, temporal_enabled=True)
SIZES = st.builds(
    Size,
    users=st.integers(0, 2000),
    organizations=st.integers(0, 300),
    seconds=st.floats(0, 100),
)
FLAGS = st.builds(
    TenantSyncSettings,
    use_temporal=st.booleans(),
    temporal_enabled=st.booleans(),
    temporal_tenants=st.sampled_from([(), (TENANT,), (OTHER,), (OTHER, TENANT.upper())]),
    temporal_by_size=st.booleans(),
    temporal_users=st.sampled_from([0, 500]),
    temporal_organizations=st.sampled_from([0, 100]),
    temporal_seconds=st.sampled_from([0.0, 30.0]),
)
ASKED: st.SearchStrategy[Method] = st.sampled_from(["auto", "direct", "temporal"])
ERRORS = st.sampled_from([*CLASSES, TemporalAway, NoWorker, NotInTime])


@pytest.mark.parametrize(
    ("flags", "size", "temporal", "why"),
    [
        (TenantSyncSettings(), Size(), False, "USE_TEMPORAL_FOR_AUTH is off"),
        (TenantSyncSettings(use_temporal=True), Size(), False, "TEMPORAL_ENABLED is off"),
        (TenantSyncSettings(temporal_enabled=True), Size(), False, "USE_TEMPORAL_FOR_AUTH is off"),
        (ON, Size(), True, "USE_TEMPORAL_FOR_AUTH is on"),
    ],
)
def test_temporal_needs_both_flags(flags: TenantSyncSettings, size: Size, temporal: bool, why: str) -> None:
    found = route(TENANT, "auto", flags, size)

    assert (found.temporal, found.why) == (temporal, why)


def test_a_list_of_tenants_leaves_the_others_on_the_direct_way() -> None:
    listed = TenantSyncSettings(
        use_temporal=True, temporal_enabled=True, temporal_tenants=(f" {TENANT.upper()} ",)
    )

    assert route(TENANT, "auto", listed, Size()).temporal
    assert not route(OTHER, "auto", listed, Size()).temporal


@pytest.mark.parametrize(
    ("size", "why"),
    [
        (Size(users=501), "501 users"),
        (Size(organizations=101), "101 organizations"),
        (Size(seconds=30.5), "30.5 seconds"),
        (Size(users=500, organizations=100, seconds=30.0), ""),
    ],
)
def test_by_size_only_what_is_past_a_threshold_takes_temporal(size: Size, why: str) -> None:
    by_size = TenantSyncSettings(use_temporal=True, temporal_enabled=True, temporal_by_size=True)

    found = route(TENANT, "auto", by_size, size)

    assert found.temporal is bool(why)
    assert found.why == (why or "neither large nor slow")


@given(FLAGS, ASKED, SIZES)
def test_the_way_is_what_was_asked_for_within_what_the_flags_allow(
    flags: TenantSyncSettings, asked: Method, size: Size
) -> None:
    found = route(TENANT, asked, flags, size)

    assert found.why
    if asked != "auto":
        assert found.temporal is (asked == "temporal" and flags.temporal_enabled)
    elif found.temporal:
        assert allowed(TENANT, flags)
    elif allowed(TENANT, flags):
        assert flags.temporal_by_size


@given(FLAGS, SIZES)
def test_taking_the_flag_back_sends_every_tenant_directly(flags: TenantSyncSettings, size: Size) -> None:
    for name in ("use_temporal", "temporal_enabled"):
        off = TenantSyncSettings(**{**_values(flags), name: False})
        assert not route(str(uuid.UUID(TENANT)), "auto", off, size).temporal


@given(ERRORS, st.booleans(), st.floats(0, 1000))
def test_who_we_are_and_what_is_wrong_with_the_data_is_never_tried_directly(
    kind: type[SyncError], busy: bool, idle: float
) -> None:
    then = after(kind("it failed"), busy=busy, idle=idle)

    assert (then == "fail") is issubclass(kind, AuthError | InvalidError)
    if then == "steal":
        assert busy
        assert idle >= STILL
    if then == "join":
        assert busy
        assert idle < STILL


def _values(flags: TenantSyncSettings) -> dict[str, object]:
    return {name: getattr(flags, name) for name in flags.__struct_fields__}
