"""What an event is: a fact in the past tense about one thing of one subject.

A *state* event carries the whole mapped state of its thing, and the version that the source row
had: only larger versions are applied. A *log* event is a fact of its own (a purchase, a use): it
is applied once by its id.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

import msgspec

Operation = Literal["u", "d", "x"]
"""u: this is the state now · d: the thing is gone from the application's sight · x: a log entry."""

_WORD = re.compile(r"^[a-z][a-z0-9_]*$")
_TYPE = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")


class Subject(msgspec.Struct, frozen=True):
    """What events are about; also the name of the file that declares them."""

    name: str
    state: bool = True
    """True: events are states, ordered by version. False: events are a log, applied once by id."""
    tenanted: bool = True
    """False: the subject belongs to the whole realm; a fixed realm id stands where a tenant would."""

    def __post_init__(self) -> None:
        if not _WORD.match(self.name):
            raise ValueError(f"a subject's name is a lower-case word ({self.name!r})")


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A fact. Subclasses declare `type`, `subject` and their fields; instances never change.

    What an event holds comes from JSON, so it can be part of no cycle: the garbage collector need not look.
    """

    type: ClassVar[str]
    """Dotted, past tense: `org.created`."""
    subject: ClassVar[Subject]
    schema_version: ClassVar[int] = 1
    operation: ClassVar[Operation] = "u"
    read_only: ClassVar[bool] = False
    """True: said only by older systems; read, never published."""

    @property
    def key(self) -> str:
        """Which thing of the subject this is about: the ledger's key, the unit of order."""
        raise TypeError(f"{type(self).__name__} declares no key")

    @property
    def entity(self) -> str:
        """What stands as `entityId` on the wire."""
        return self.key

    @property
    def op(self) -> Operation:
        """What this event does to its thing."""
        return self.operation

    @property
    def target(self) -> str:
        """The one application a live event is for; `*` for every one."""
        return "*"

    def headline(self) -> dict[str, Any]:
        """Fields that older readers look for at the top level of an entry."""
        return {}

    def labels(self) -> dict[str, Any]:
        """What the event adds to `metadata` on the wire."""
        return {}

    def original_time(self) -> tuple[str, Any] | None:
        """Name and time of the original fact, for `metadata` of historical events."""
        return None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared = cls.__dict__.get("type")
        if declared is not None and not _TYPE.match(declared):
            raise ValueError(f"an event type is dotted and lower-case ({declared!r})")
