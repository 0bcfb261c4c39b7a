"""What becomes of a delivery: decided here, by value, without a clock or a server."""

from __future__ import annotations

import asyncio
from enum import Enum

import asyncpg
import msgspec

from headwater.database import is_unavailable, is_unfit
from headwater.errors import DatabaseUnavailable, EventError, Reject, Retry


class Ack(msgspec.Struct, frozen=True):
    """Done: applied, or known already."""


class RetryAfter(msgspec.Struct, frozen=True):
    """The same entry again, later."""

    seconds: float
    failures: int
    error: str


class Park(msgspec.Struct, frozen=True):
    """Into the application's dead letters."""

    reason: str
    error: str
    failures: int = 1


class Hold(msgspec.Struct, frozen=True):
    """Stored behind an earlier event of its thing, which has to be settled first."""


Outcome = Ack | RetryAfter | Park | Hold


class Done(msgspec.Struct, frozen=True):
    """Answered by a batch handler for an event: handled."""


class Fault(Enum):
    """What kind of failure an error is."""

    UNAVAILABLE = "the database is gone: wait, whatever the entries"
    AGAIN = "lost a race: the same batch again at once"
    LOCKED = "somebody else holds a lock: the same entries again later, and nothing is counted"
    DEPLOY = "the application's tables or rights are wrong: nothing can succeed until someone mends them"
    PERMANENT = "this entry can never succeed"
    UNKNOWN = "may pass at another time"


LOCKED = 5.0
"""Longest pause in seconds of an entry that waits for somebody else's lock."""
FURTHEST = 86_400.0
"""Seconds ahead a handler can ask for its retry at most."""


HANDLER = 20.0
"""Seconds that a handler may take."""


def handler_limit(idle_in_transaction: float) -> float:
    """Seconds for a handler where Postgres ends a transaction that idles for so many; 0: it never does.

    Always less: a handler that loses its session looks like a database that went away, which is
    waited out and never counted, so its batch would be tried for ever.
    """
    return min(HANDLER, 0.8 * idle_in_transaction) if idle_in_transaction else HANDLER


class Limits(msgspec.Struct, frozen=True):
    """How often and how soon an entry is tried again."""

    attempts: int = 8
    first: float = 0.5
    """Seconds before the second attempt; doubled each time."""
    longest: float = 60.0
    handler: float = HANDLER
    """Seconds after which a handler that has not returned counts as failed."""
    crashes: int = 3
    """How many workers may end while they have an entry alone, before it is parked untried."""


_AGAIN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.exceptions.InvalidCachedStatementError,
)
_ROW_CHECK = "ExecWithCheckOptions"
_KINDS: tuple[tuple[tuple[type[Exception], ...], Fault], ...] = (
    ((Reject, EventError), Fault.PERMANENT),
    ((Retry,), Fault.UNKNOWN),
    (_AGAIN, Fault.AGAIN),
    ((asyncpg.LockNotAvailableError,), Fault.LOCKED),
)


def classify(error: BaseException) -> Fault:
    """The kind of a failure, by SQLSTATE class or exception type."""
    for kinds, fault in _KINDS:
        if isinstance(error, kinds):
            return fault
    if isinstance(error, DatabaseUnavailable) or is_unavailable(error):
        return Fault.UNAVAILABLE
    if isinstance(error, asyncpg.PostgresError):
        return Fault.PERMANENT if _keeps_out_a_row(error) else _by_state(error.sqlstate or "")
    return Fault.PERMANENT if is_unfit(error) else Fault.UNKNOWN


def _keeps_out_a_row(error: asyncpg.PostgresError) -> bool:
    # A policy of row-level security has the SQLSTATE of missing rights, but is about this one row. The
    # function that raised it tells them apart, whatever the language of the message.
    return error.sqlstate == "42501" and getattr(error, "server_source_function", "") == _ROW_CHECK


def _by_state(state: str) -> Fault:
    if state[:2] == "42":
        return Fault.DEPLOY
    if state == "23503":  # a parent that is not there yet may still come
        return Fault.UNKNOWN
    if state[:2] in {"22", "23"} or state == "54001":
        return Fault.PERMANENT
    return Fault.UNAVAILABLE if state[:2] in {"08", "53", "58"} or state[:3] == "57P" else Fault.UNKNOWN


def decide(error: BaseException, *, failures: int, limits: Limits, chance: float) -> RetryAfter | Park:
    """What becomes of one delivery that failed alone.

    `failures` counts the ones before; `chance` in 0..1 spreads the retries of many entries.
    """
    count = failures + 1
    text = describe(error)
    fault = classify(error)
    if fault in {
        Fault.AGAIN,
        Fault.LOCKED,
    }:  # others are at work: no fault of this entry, however long it takes
        return RetryAfter(min(limits.longest, LOCKED) * (0.5 + chance / 2), failures, text)
    if fault is Fault.PERMANENT:
        return Park(getattr(error, "reason", _reason(error)), text, count)
    if count >= limits.attempts:
        return Park("exhausted", f"failed {count} times, last: {text}", count)
    if isinstance(error, Retry):
        return RetryAfter(min(FURTHEST, max(0.0, error.after)), count, text)
    pause = min(limits.longest, limits.first * 2.0**failures)
    return RetryAfter(pause * (0.5 + chance / 2), count, text)


def quarantine(crashes: int, limits: Limits) -> Park | None:
    """What becomes of an entry before it is tried again, after so many workers ended with it alone."""
    if crashes < limits.crashes:
        return None
    return Park("crashed", f"the worker ended {crashes} times while it had this entry alone", crashes)


def race_pause(turn: int, chance: float) -> float:
    """Seconds before a batch that lost a race for the `turn`th time, from 0, is applied again."""
    return min(0.5, 0.01 * 2.0**turn) * chance


def _reason(error: BaseException) -> str:
    if isinstance(error, Reject):
        return "rejected"
    return f"sqlstate_{error.sqlstate}" if isinstance(error, asyncpg.PostgresError) else "unfit_value"


def describe(error: BaseException) -> str:
    """One line about an error, without row values: Postgres puts those into DETAIL, which is left out."""
    if isinstance(error, asyncio.CancelledError):
        return "interrupted"
    said = str(error.args[0]) if error.args else ""
    if said.startswith("invalid input for query argument"):
        said = said.partition(": ")[0]  # behind it asyncpg puts the value itself
    text = f"{type(error).__name__}: {said}"[:500].replace("\x00", "�")
    return text.encode("utf-8", "replace").decode()  # a lone surrogate would keep it out of the dead letters
