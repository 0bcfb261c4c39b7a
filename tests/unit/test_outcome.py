"""What becomes of a failed delivery is decided by value: no clock, no server."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery.outcome import (
    HANDLER,
    LOCKED,
    Fault,
    Limits,
    Park,
    RetryAfter,
    classify,
    decide,
    describe,
    handler_limit,
    quarantine,
    race_pause,
)
from headwater.errors import DatabaseUnavailable, EventError, Reject, Retry

LIMITS = Limits(attempts=5, first=0.5, longest=8.0)
CHANCE = st.floats(min_value=0.0, max_value=1.0)


def sqlstate(state: str) -> asyncpg.PostgresError:
    error: Any = asyncpg.PostgresError("said by the server")
    error.sqlstate = state
    return cast("asyncpg.PostgresError", error)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (Reject("no"), Fault.PERMANENT),
        (EventError("nul", "bad"), Fault.PERMANENT),
        (Retry(after=1), Fault.UNKNOWN),
        (ValueError("a defect"), Fault.UNKNOWN),
        (DatabaseUnavailable("gone"), Fault.UNAVAILABLE),
        (asyncpg.ConnectionDoesNotExistError("gone"), Fault.UNAVAILABLE),
        (ConnectionResetError(), Fault.UNAVAILABLE),
        (asyncpg.DeadlockDetectedError("ring"), Fault.AGAIN),
        (asyncpg.SerializationError("race"), Fault.AGAIN),
        (asyncpg.LockNotAvailableError("slow"), Fault.LOCKED),
        (sqlstate("22P02"), Fault.PERMANENT),
        (sqlstate("22003"), Fault.PERMANENT),
        (sqlstate("23505"), Fault.PERMANENT),
        (sqlstate("23503"), Fault.UNKNOWN),
        (sqlstate("54001"), Fault.PERMANENT),
        (sqlstate("42P01"), Fault.DEPLOY),
        (sqlstate("42703"), Fault.DEPLOY),
        (sqlstate("42501"), Fault.DEPLOY),
        (sqlstate("08006"), Fault.UNAVAILABLE),
        (sqlstate("53100"), Fault.UNAVAILABLE),
        (sqlstate("57P01"), Fault.UNAVAILABLE),
        (sqlstate("58030"), Fault.UNAVAILABLE),
        (sqlstate("57014"), Fault.UNKNOWN),
        (sqlstate("XX000"), Fault.UNKNOWN),
    ],
)
def test_a_failure_is_told_by_its_type_or_its_sqlstate(error: Exception, fault: Fault) -> None:
    assert classify(error) is fault


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Reject("no"), "rejected"),
        (EventError("foreign_tenant", "bad"), "foreign_tenant"),
        (sqlstate("22P02"), "sqlstate_22P02"),
    ],
)
def test_what_can_never_succeed_is_parked_at_the_first_attempt_with_its_reason(
    error: Exception, reason: str
) -> None:
    outcome = decide(error, failures=0, limits=LIMITS, chance=0.5)

    assert isinstance(outcome, Park)
    assert (outcome.reason, outcome.failures) == (reason, 1)


@given(failures=st.integers(0, 100), chance=CHANCE)
def test_an_entry_is_tried_at_most_as_often_as_allowed(failures: int, chance: float) -> None:
    outcome = decide(RuntimeError("not today"), failures=failures, limits=LIMITS, chance=chance)

    if failures + 1 >= LIMITS.attempts:
        assert isinstance(outcome, Park)
        assert outcome.reason == "exhausted"
    else:
        assert isinstance(outcome, RetryAfter)
    assert outcome.failures == failures + 1


@given(failures=st.integers(0, 3), chance=CHANCE)
def test_pauses_double_within_bounds_and_are_spread(failures: int, chance: float) -> None:
    outcome = decide(RuntimeError(), failures=failures, limits=LIMITS, chance=chance)

    assert isinstance(outcome, RetryAfter)
    whole = min(LIMITS.longest, LIMITS.first * 2**failures)
    assert whole / 2 <= outcome.seconds <= whole


@given(failures=st.integers(0, 3), after=st.floats(0.0, 3600.0))
def test_a_handler_that_names_its_time_gets_it(failures: int, after: float) -> None:
    outcome = decide(Retry(after=after), failures=failures, limits=LIMITS, chance=0.0)

    assert isinstance(outcome, RetryAfter)
    assert outcome.seconds == after


def test_a_handler_that_asks_for_ever_is_parked_in_the_end() -> None:
    assert isinstance(decide(Retry(), failures=4, limits=LIMITS, chance=0.0), Park)


@given(st.text(max_size=2000))
def test_a_description_is_one_short_text_that_postgres_can_hold(text: str) -> None:
    described = describe(RuntimeError(text))

    assert len(described) <= 500
    assert "\x00" not in described
    assert described.encode()


def test_a_description_names_the_type_and_leaves_out_values() -> None:
    assert describe(ValueError("odd")) == "ValueError: odd"
    assert describe(RuntimeError()) == "RuntimeError: "
    assert describe(asyncio.CancelledError()) == "interrupted"
    unfit = asyncpg.DataError(
        "invalid input for query argument $3: 'mary@example.org' (an integer is required)"
    )
    assert describe(unfit) == "DataError: invalid input for query argument $3"


@pytest.mark.parametrize(
    ("asked", "given"),
    [(2.5, 2.5), (-1.0, 0.0), (float("nan"), 0.0), (float("inf"), 86_400.0), (1e12, 86_400.0)],
)
def test_a_retry_is_within_a_day_whatever_the_handler_asks_for(asked: float, given: float) -> None:
    outcome = decide(Retry(after=asked), failures=0, limits=Limits(), chance=0.5)

    assert isinstance(outcome, RetryAfter)
    assert outcome.seconds == given


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.LockNotAvailableError("held"),
        asyncpg.DeadlockDetectedError("ring"),
        asyncpg.SerializationError(),
    ],
)
@given(failures=st.integers(0, 1000), chance=CHANCE)
def test_what_others_hold_up_waits_and_is_never_counted_nor_parked(
    error: Exception, failures: int, chance: float
) -> None:
    outcome = decide(error, failures=failures, limits=Limits(), chance=chance)

    assert isinstance(outcome, RetryAfter)
    assert outcome.failures == failures
    assert LOCKED / 2 <= outcome.seconds <= LOCKED


@given(turn=st.integers(0, 2000), chance=CHANCE)
def test_a_race_is_run_again_after_a_short_random_pause(turn: int, chance: float) -> None:
    assert 0.0 <= race_pause(min(turn, 1000), chance) <= 0.5


@given(crashes=st.integers(0, 100), allowed=st.integers(1, 20))
def test_an_entry_that_was_the_end_of_so_many_workers_is_parked_untried(crashes: int, allowed: int) -> None:
    park = quarantine(crashes, Limits(crashes=allowed))

    assert (park is not None) == (crashes >= allowed)
    if park is not None:
        assert (park.reason, park.failures) == ("crashed", crashes)


@given(st.floats(min_value=0.001, max_value=86_400.0))
def test_a_handler_ends_before_postgres_ends_its_session(idle: float) -> None:
    longest = handler_limit(idle)
    assert 0 < longest <= HANDLER
    assert longest * 1.125 < idle  # a batch asks something after an eighth of that at the latest


def test_a_handler_has_its_whole_time_where_a_transaction_may_idle_for_ever() -> None:
    assert handler_limit(0) == HANDLER
