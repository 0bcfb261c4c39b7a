"""What a system may declare as its events."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import pytest

from headwater.errors import DeclarationError, EventError
from headwater.event import Event, Registry, Subject

THINGS = Subject("things")


class ThingMade(Event, frozen=True, kw_only=True):
    """A thing was made."""

    type: ClassVar[str] = "thing.made"
    subject: ClassVar[Subject] = THINGS
    schema_version: ClassVar[int] = 2

    thing_id: str
    weight: int

    @property
    def key(self) -> str:
        return self.thing_id


class ThingMadeFirst(msgspec.Struct, rename="camel"):
    """As it was declared first."""

    thing_id: str


def test_an_old_version_is_read_as_the_current_event() -> None:
    upcasts = {("thing.made", 1): (ThingMadeFirst, lambda old: ThingMade(thing_id=old.thing_id, weight=0))}
    registry = Registry([ThingMade], upcasts)

    assert registry.read("thing.made", 1, b'{"thingId":"a"}') == ThingMade(thing_id="a", weight=0)
    assert registry.read("thing.made", 2, b'{"thingId":"a","weight":3}') == ThingMade(thing_id="a", weight=3)


def test_an_unknown_type_and_an_unknown_version_are_told_apart() -> None:
    registry = Registry([ThingMade])

    with pytest.raises(EventError) as unknown:
        registry.read("thing.broken", 1, b"{}")
    with pytest.raises(EventError) as newer:
        registry.read("thing.made", 3, b"{}")

    assert (unknown.value.reason, newer.value.reason) == ("unknown_event", "unknown_version")
    assert "thing.made" in unknown.value.hint


def test_two_events_of_one_type_are_refused() -> None:
    with pytest.raises(DeclarationError, match="share one type"):
        Registry([ThingMade, ThingMade])


def test_an_event_that_uses_a_name_of_the_envelope_is_refused() -> None:
    class ThingSent(Event, frozen=True, kw_only=True):
        """A thing was sent."""

        type: ClassVar[str] = "thing.sent"
        subject: ClassVar[Subject] = THINGS

        tenant_id: str

    with pytest.raises(DeclarationError, match="tenantId"):
        Registry([ThingSent])


def test_types_are_dotted_and_subjects_words() -> None:
    with pytest.raises(ValueError, match="dotted"):
        type("Bad", (Event,), {"type": "made", "__annotations__": {}})
    with pytest.raises(ValueError, match="word"):
        Subject("Two words")
