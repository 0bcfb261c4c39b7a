"""Which class an error of a tenant sync has, what is retried, and when: the rules alone."""

from __future__ import annotations

import asyncio

import aiohttp
import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.tenant_sync.correlation import correlation_id
from backfill.tenant_sync.errors import (
    CLASSES,
    AuthError,
    InvalidError,
    NetworkError,
    Superseded,
    SyncError,
    UnknownError,
    classified,
    of_status,
)
from backfill.tenant_sync.retrying import Patience, tried
from headwater.errors import BrokerUnavailable, DatabaseUnavailable, EventError

AT_ONCE = Patience(first=0.0, jitter=0.0)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.InvalidPasswordError("no"), "AUTH_ERROR"),
        (asyncpg.InsufficientPrivilegeError("no"), "AUTH_ERROR"),
        (caused(DatabaseUnavailable("no"), asyncpg.InvalidPasswordError("no")), "AUTH_ERROR"),
        (asyncpg.UniqueViolationError("twice"), "VALIDATION_ERROR"),
        (asyncpg.DataError("no uuid"), "VALIDATION_ERROR"),
        (msgspec.ValidationError("no text"), "VALIDATION_ERROR"),
        (EventError("malformed", "no event"), "VALIDATION_ERROR"),
        (KeyError("roleId"), "VALIDATION_ERROR"),
        (aiohttp.ServerDisconnectedError(), "NETWORK_ERROR"),
        (aiohttp.ServerTimeoutError(), "NETWORK_ERROR"),
        (ConnectionRefusedError(), "NETWORK_ERROR"),
        (DatabaseUnavailable("away"), "DATABASE_ERROR"),
        (asyncpg.DeadlockDetectedError("ring"), "DATABASE_ERROR"),
        (asyncpg.SerializationError("twice"), "DATABASE_ERROR"),
        (asyncpg.InterfaceError("connection is closed"), "DATABASE_ERROR"),
        (TimeoutError(), "TIMEOUT_ERROR"),
        (asyncpg.QueryCanceledError("statement timeout"), "TIMEOUT_ERROR"),
        (RuntimeError("a defect"), "UNKNOWN_ERROR"),
        (BrokerUnavailable("away"), "UNKNOWN_ERROR"),
    ],
)
def test_every_error_has_its_class(error: Exception, expected: str) -> None:
    assert classified(error).type == expected


def test_six_classes_and_the_two_that_would_fail_the_same_way_are_not_retried() -> None:
    assert {one.type: one.retryable for one in CLASSES} == {
        "AUTH_ERROR": False,
        "VALIDATION_ERROR": False,
        "NETWORK_ERROR": True,
        "DATABASE_ERROR": True,
        "TIMEOUT_ERROR": True,
        "UNKNOWN_ERROR": True,
    }


def test_an_error_says_whose_it_is_and_what_to_do() -> None:
    data = classified(ConnectionRefusedError("nobody")).of("t1", "sync-t1-1-a", "essential", 1.25).as_data()

    assert data["correlationId"] == "sync-t1-1-a"
    assert (data["tenantId"], data["type"], data["retryable"]) == ("t1", "NETWORK_ERROR", True)
    assert (data["phase"], data["duration"]) == ("essential", 1250)
    assert data["action"]
    assert "nobody" in data["message"]


@given(st.integers(min_value=400, max_value=599), st.floats(min_value=0, max_value=1e6))
def test_a_status_is_refused_wrong_or_worth_a_retry_which_alone_may_ask_for_patience(
    status: int, after: float
) -> None:
    error = of_status(status, "GET /tenants/x", after)

    assert isinstance(error, AuthError | InvalidError | NetworkError)
    assert isinstance(error, AuthError) == (status in {401, 403})
    assert error.retryable == (status >= 500 or status in {408, 425, 429})
    assert error.after == (after if error.retryable else 0)


@given(
    st.integers(min_value=1, max_value=10_000),
    st.floats(min_value=0, max_value=1e9),
)
def test_a_wait_doubles_up_to_its_bound_and_is_never_shorter_than_was_asked(
    failures: int, asked: float
) -> None:
    patience = Patience()
    wait = patience.wait(failures, asked)
    own = min(60.0, 2.0 * 2.0 ** min(failures - 1, 60))

    assert max(own, min(asked, patience.obeyed)) <= wait <= max(own, min(asked, patience.obeyed)) + 1.0


@given(st.text(alphabet="0123456789abcdef-", min_size=1, max_size=36), st.integers(0, 2**50))
def test_a_correlation_id_names_tenant_and_time_and_is_never_the_same(tenant: str, when: int) -> None:
    one, other = correlation_id(tenant, when), correlation_id(tenant, when)

    assert one.startswith(f"sync-{tenant}-{when}-")
    assert len(one) - len(f"sync-{tenant}-{when}-") == 9
    assert one != other


async def attempts(*errors: BaseException, patience: Patience = AT_ONCE) -> tuple[int, SyncError | None]:
    """How often a step is tried that fails so, and what comes out in the end."""
    left, made = list(errors), 0

    async def step() -> None:
        nonlocal made
        made += 1
        if left:
            raise left.pop(0)

    try:
        await tried(step, patience, lambda *_: None)
    except SyncError as error:
        return made, error
    return made, None


async def test_what_may_succeed_later_is_tried_five_times() -> None:
    made, error = await attempts(*(DatabaseUnavailable("away") for _ in range(9)))

    assert made == 5
    assert error is not None
    assert (error.type, error.tried) == ("DATABASE_ERROR", True)


async def test_what_would_fail_the_same_way_is_tried_once() -> None:
    assert (await attempts(AuthError("no")))[0] == 1
    assert (await attempts(ValueError("wrong")))[0] == 1


async def test_what_was_tried_already_is_not_tried_again_around_it() -> None:
    made, error = await attempts(NetworkError("away", tried=True))

    assert made == 1
    assert isinstance(error, NetworkError)


async def test_a_step_that_works_at_last_gives_its_result() -> None:
    assert await attempts(OSError("away"), RuntimeError("once")) == (3, None)


async def test_each_failure_that_is_retried_is_reported_with_its_wait() -> None:
    heard: list[tuple[str, int, float]] = []
    left = [NetworkError("busy", after=0.02), UnknownError("once")]

    async def step() -> int:
        if left:
            raise left.pop(0)
        return 7

    done = await tried(step, AT_ONCE, lambda error, attempt, wait: heard.append((error.type, attempt, wait)))

    assert done == 7
    assert heard == [("NETWORK_ERROR", 1, 0.02), ("UNKNOWN_ERROR", 2, 0.0)]


async def test_a_run_that_was_superseded_and_one_that_is_cancelled_are_not_tried_again() -> None:
    async def superseded() -> None:
        raise Superseded("another run")

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Superseded):
        await tried(superseded, AT_ONCE, lambda *_: None)
    with pytest.raises(asyncio.CancelledError):
        await tried(cancelled, AT_ONCE, lambda *_: None)
