"""What can go wrong in a tenant sync: six classes, of which a run that fails has exactly one.

    AUTH_ERROR        the wrapper or a database refused who we are        the same next time
    VALIDATION_ERROR  a request or what came back is wrong                the same next time
    NETWORK_ERROR     the wrapper did not answer, or asked for patience   worth a retry
    DATABASE_ERROR    Postgres did not answer, or two wrote at once       worth a retry
    TIMEOUT_ERROR     the whole took longer than it may                   worth a retry
    UNKNOWN_ERROR     none of these                                       worth a retry

A request that got no answer in time is a NETWORK_ERROR: TIMEOUT_ERROR is about the sync.
"""

from __future__ import annotations

from typing import Any, ClassVar

import aiohttp
import asyncpg
import msgspec

from headwater.errors import DatabaseUnavailable, DeclarationError, EventError, HeadwaterError


class Superseded(HeadwaterError):
    """Another run of this tenant's sync took over: this one writes nothing any more."""


class SyncError(HeadwaterError):
    """A sync that failed. What is not known where it is raised is filled in by the run."""

    type: ClassVar[str]
    retryable: ClassVar[bool] = True

    tenant: str = ""
    correlation: str = ""
    phase: str = ""
    """`essential`, or the background collection."""
    duration: float = 0.0
    """Seconds from the begin of the run until it failed."""

    def __init__(self, message: str, *, hint: str = "", after: float = 0.0, tried: bool = False) -> None:
        """`after`: seconds that the other side asked to be left alone; `tried`: was retried already."""
        super().__init__(message, hint=hint)
        self.after = after
        self.tried = tried

    def of(self, tenant: str, correlation: str, phase: str, duration: float) -> SyncError:
        """The same error, with the run it belongs to."""
        self.tenant, self.correlation, self.phase, self.duration = tenant, correlation, phase, duration
        return self

    def as_data(self) -> dict[str, Any]:
        """As it stands in answers and in the status row."""
        return {
            "type": self.type,
            "name": type(self).__name__,
            "message": str(self),
            "action": self.hint,
            "retryable": self.retryable,
            "correlationId": self.correlation,
            "tenantId": self.tenant,
            "phase": self.phase,
            "duration": round(self.duration * 1000),
        }


class AuthError(SyncError):
    """The wrapper or a database refused who we are."""

    type = "AUTH_ERROR"
    retryable = False
    hint = "check the token, the internal API key or the password of the database, then sync again"


class InvalidError(SyncError):
    """A request or what came back is wrong: the same again would fail the same way."""

    type = "VALIDATION_ERROR"
    retryable = False
    hint = "correct what the text names: nothing is retried"


class NetworkError(SyncError):
    """The wrapper's API did not answer, failed, or asked for patience."""

    type = "NETWORK_ERROR"
    hint = "is the wrapper's API reachable? The next sync tries again"


class DatabaseError(SyncError):
    """Postgres did not answer, or had to choose between two writers."""

    type = "DATABASE_ERROR"
    hint = "run: headwater -q doctor"


class TooLong(SyncError):
    """The essential sync took longer than it may."""

    type = "TIMEOUT_ERROR"
    hint = "raise SYNC_TIMEOUT_MS, or look why it is slow: what was stored stays stored"


class TemporalAway(NetworkError):
    """Temporal is not there, or lets us not in."""

    hint = "is Temporal running at TEMPORAL_ADDRESS? USE_TEMPORAL_FOR_AUTH=false goes without it"


class NoWorker(TooLong):
    """No worker of ours asks Temporal for work."""

    hint = "run: headwater worker --temporal"


class NotInTime(TooLong):
    """Temporal, or the workflow, took longer than a login waits; it may still run."""

    hint = "look at the workflow in Temporal's UI, or raise TEMPORAL_AUTH_TIMEOUT_MS"


class UnknownError(SyncError):
    """None of the others."""

    type = "UNKNOWN_ERROR"
    hint = "the log has the traceback under this correlation id"


CLASSES: tuple[type[SyncError], ...] = (
    AuthError,
    InvalidError,
    NetworkError,
    DatabaseError,
    TooLong,
    UnknownError,
)
REFUSED = (401, 403)
PATIENCE = (408, 425, 429)

_AUTH = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError)
_INVALID = (
    *(asyncpg.IntegrityConstraintViolationError, asyncpg.DataError),
    *(EventError, DeclarationError, msgspec.ValidationError, msgspec.DecodeError),
    *(ValueError, TypeError, LookupError),
)

_KINDS: tuple[tuple[tuple[type[BaseException], ...], type[SyncError]], ...] = (
    (_AUTH, AuthError),
    ((asyncpg.QueryCanceledError,), TooLong),
    ((aiohttp.ClientError,), NetworkError),
    ((TimeoutError,), TooLong),
    (_INVALID, InvalidError),
    ((DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError), DatabaseError),
    ((OSError,), NetworkError),
)
"""The first that an error is an instance of says its class."""


def classified(error: BaseException) -> SyncError:
    """The error as one of the six; one of them stays itself. Pure."""
    if isinstance(error, SyncError):
        return error
    kind = _kind(error)
    classed = kind(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    classed.__cause__ = error
    return classed


def _kind(error: BaseException) -> type[SyncError]:
    if isinstance(error.__cause__, _AUTH):
        return AuthError
    return next((kind for types, kind in _KINDS if isinstance(error, types)), UnknownError)


def of_status(status: int, about: str, after: float = 0.0) -> SyncError:
    """What an HTTP status other than success means; `after` as its Retry-After says. Pure."""
    text = f"the wrapper's API answered {status} ({about})"
    if status in REFUSED:
        return AuthError(text)
    if status in PATIENCE or status >= 500:
        return NetworkError(text, after=after)
    if status == 404:
        return InvalidError(text, hint="the wrapper knows no such tenant")
    return InvalidError(text)
