"""What of a subject belongs to an application, asked of every state on its way: what does not is gone there.

A backfill's select says it of rows; this says it of what an event states. So a row that leaves the scope of
an application leaves the application with the very event that took it out, in whatever order events arrive:
what is gone carries the version of the state that it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from headwater.errors import EventError
from headwater.event import Envelope, Event, event_id

Holds = Callable[[Any, str], bool]
"""Whether what an event states belongs to an application. Pure."""
Gone = Callable[[str], Event]
"""The event that says a key is gone."""


class Scope(NamedTuple):
    """One subject's."""

    holds: Holds
    gone: Gone

    def parted(self, envelope: Envelope, apps: Iterable[str]) -> tuple[list[str], list[str]]:
        """The applications that a state belongs to, and the others. Raises EventError."""
        inside: list[str] = []
        outside: list[str] = []
        for app in apps:
            try:
                held = self.holds(envelope.event, app)
            except Exception as error:  # a project's own code: it may cost this event, and no other
                what = f"{type(error).__name__}: {error}"[:200]
                raise EventError(
                    "malformed", f"the scope of {envelope.subject} fails ({what})", hint="mend its `holds`"
                ) from error
            (inside if held else outside).append(app)
        return inside, outside

    def left(self, envelope: Envelope) -> Envelope:
        """The same fact for an application it does not belong to: its key is gone, as of this version."""
        event = self.gone(envelope.key)
        identity = event_id(event.type, envelope.tenant, event.key, f"{envelope.version}:out")
        return msgspec.structs.replace(envelope, id=identity, event=event, op=event.op)
