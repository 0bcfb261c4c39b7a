"""Every declared event keeps the rules that readers, documents and tools rely on."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from headwater.event import Codec, Event
from headwater.event.registry import ENVELOPE_NAMES
from schemas import codec, examples, registry
from streams import catalogue
from tests.strategies import is_number, wrapped

EVENTS: list[type[Event]] = list(registry)
DECLARED = {
    *("credit.allocated", "credit.consumed", "credit.config_updated"),
    *("org.created", "org.updated", "org.deleted"),
    *(f"org.assignment.{what}" for what in ("created", "updated", "activated", "deactivated", "deleted")),
    *(f"user.{what}" for what in ("created", "updated", "deactivated", "deleted")),
    *(f"role.{what}" for what in ("created", "updated", "deleted", "assigned", "unassigned")),
    *("tenant.updated", "tenant.sync.required", "application.enabled", "application.disabled"),
    *("account.changed", "account.deleted", "customer.changed", "customer.deleted"),
}
LEGACY = {"credit.incremented", "org.named", "org.assignment.switched"}

every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)


def test_the_events_are_those_that_were_asked_for_and_three_that_are_only_read() -> None:
    assert {event.type for event in EVENTS} == DECLARED | LEGACY
    assert {event.type for event in EVENTS if event.read_only} == LEGACY


@every_event
def test_an_event_says_in_one_sentence_what_happened(event: type[Event]) -> None:
    sentence = inspect.getdoc(event) or ""

    assert sentence.split("\n")[0].endswith(".")
    assert sentence.split("\n")[0].count(". ") == 0


@every_event
def test_an_event_has_an_example_that_names_its_key(event: type[Event]) -> None:
    example = examples[event.type]

    assert type(example) is event
    assert example.key
    assert example.entity


@every_event
def test_an_event_is_on_exactly_one_stream(event: type[Event]) -> None:
    carrying = [stream.name for stream in catalogue.streams.values() if event in stream.events]

    assert len(carrying) == 1


@every_event
def test_an_event_uses_no_name_of_the_envelope_and_no_reserved_attribute(event: type[Event]) -> None:
    assert not set(event.__struct_encode_fields__) & ENVELOPE_NAMES
    assert not set(event.__struct_fields__) & {"type", "subject", "key", "entity", "op", "target"}


@every_event
def test_an_event_survives_a_reader_that_knows_more_and_one_that_knows_less(event: type[Event]) -> None:
    text = msgspec.json.Encoder(decimal_format="number").encode(examples[event.type])
    more = text[:-1] + b',"addedLater":{"deep":[1]}}'

    assert msgspec.json.decode(more, type=event) == examples[event.type]


@every_event
def test_a_published_event_reads_back_by_our_dialect_alone(event: type[Event]) -> None:
    if event.read_only:
        assert event.type in LEGACY
        return

    own = Codec(registry)

    assert own.decode(own.encode(wrapped(examples[event.type]))).event == examples[event.type]


@pytest.mark.parametrize("event", [one for one in EVENTS if one.operation == "d"], ids=lambda one: one.type)
def test_a_deletion_needs_nothing_but_its_key(event: type[Event]) -> None:
    required = [field for field in msgspec.structs.fields(event) if field.required]

    assert len(required) == 1
    assert event(**{required[0].name: "k"}).key == "k"


def test_what_leaves_the_sight_of_an_application_is_a_deletion() -> None:
    def op(event_type: str, **changes: object) -> str:
        return msgspec.structs.replace(examples[event_type], **changes).op

    assert op("credit.allocated") == "u"
    assert op("credit.allocated", is_active=False) == "d"
    assert op("org.assignment.updated", is_active=False) == "d"
    assert op("role.assigned", is_active=False) == "d"
    assert op("account.changed", status="blocked") == "d"
    assert op("user.deactivated") == "u"


def test_log_events_are_marked_as_such() -> None:
    assert {event.operation for event in EVENTS if not event.subject.state} == {"x"}
    assert "x" not in {event.operation for event in EVENTS if event.subject.state}


def test_subjects_are_named_after_one_thing_each() -> None:
    named = {event.subject.name: event.subject for event in EVENTS}

    assert all(named[event.subject.name] is event.subject for event in EVENTS)
    assert {name for name, subject in named.items() if not subject.tenanted} == {"accounts", "customers"}


def test_amounts_travel_as_json_numbers() -> None:
    data = msgspec.json.decode(codec.encode(wrapped(examples["credit.allocated"]))[b"data"])

    assert all(is_number(data[name]) for name in ("amount", "allocatedCredits", "availableCredits"))


def test_a_customers_address_is_never_said_in_the_clear() -> None:
    names = set(examples["customer.changed"].__struct_encode_fields__)

    assert "emailSealed" in names
    assert "email" not in names
