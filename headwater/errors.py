"""The errors that headwater raises on purpose and that more than one floor knows.

    HeadwaterError
    ├── SettingsError            settings are wrong: exit code 2
    │   └── EmbeddedUnavailable  no server is named, and none could be started here
    ├── ServerUnavailable        a server gives no answer: worth a retry, exit code 3
    │   ├── BrokerUnavailable    Redis
    │   └── DatabaseUnavailable  Postgres
    ├── BrokerRefused            Redis answered with an error that a retry does not cure
    │   └── GroupMissing         the stream or its group is gone
    ├── EventError               one event can not be said or read; carries a reason code
    ├── DeclarationError         streams, events, consumers or backfills contradict each other
    ├── Retry, Reject            a handler says what becomes of its delivery
    ├── NotApplied, EventParked  what was waited for is not applied yet, or can not be
    └── JobRefused               a backfill job can not be started or changed; carries the running one

Messages: what, the values in brackets, and as `hint` what to do next.
"""

from __future__ import annotations

from typing import Any


class HeadwaterError(Exception):
    """Base of all errors raised on purpose."""

    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class SettingsError(HeadwaterError):
    """A setting is missing, unknown or out of range."""


class EmbeddedUnavailable(SettingsError):
    """No server is named in the settings, and none could be started on this machine."""


class ServerUnavailable(HeadwaterError):
    """A server did not answer. What was asked for may or may not have happened there."""


class BrokerUnavailable(ServerUnavailable):
    """Redis did not answer, is loading, out of memory, read-only or refused the connection.

    `sent` is False when the command surely never left: then nothing happened, not even maybe.
    """

    def __init__(self, message: str, *, hint: str = "", sent: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


class DatabaseUnavailable(ServerUnavailable):
    """Postgres did not answer, is starting up or shutting down, or has no connection left."""


class SessionLost(DatabaseUnavailable):
    """Postgres ended a session in the middle of its work; the server itself may be well."""


class BrokerRefused(HeadwaterError):
    """Redis answered a command with an error that repeating it will not cure."""


class GroupMissing(BrokerRefused):
    """The stream or the consumer group does not exist (any more)."""


class EventError(HeadwaterError):
    """One event can not be published, or one entry can not be read.

    `reason` is one of the codes in `REASONS`: dead letters and metrics carry it.
    """

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


REASONS = (
    "malformed",
    "oversize",
    "invalid_utf8",
    "nul",
    "not_finite",
    "surrogate",
    "nesting",
    "missing_tenant",
    "foreign_tenant",
    "missing_version",
    "unknown_event",
    "unknown_version",
)
"""Why an entry could not be read or an event not be said."""


class DeclarationError(HeadwaterError):
    """Two declarations contradict each other, or one names something that does not exist."""


class Retry(HeadwaterError):
    """Raised by a handler: give me this delivery again, after `after` seconds."""

    def __init__(self, message: str = "the handler asked for a retry", *, after: float = 1.0) -> None:
        super().__init__(message)
        self.after = float(after)  # what is no number fails here, in the handler


class Reject(HeadwaterError):
    """Raised by a handler: this delivery can never succeed, park it now."""


class NotApplied(HeadwaterError):
    """An application did not apply an event in the time that was waited. It may still do so."""


class EventParked(HeadwaterError):
    """An application can not apply an event: it stands among its dead letters, as number `letter`.

    `reason` is the dead letter's.
    """

    def __init__(self, message: str, *, letter: int, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.letter = letter
        self.reason = reason


class JobRefused(HeadwaterError):
    """A backfill job can not be started or changed in its present state.

    `job` is the job that stands in the way, where there is one.
    """

    def __init__(self, message: str, *, job: Any = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.job = job
