"""Our own dialect: what is written is read back, and what a stranger writes costs only itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import REASONS, EventError
from headwater.event import Codec, Envelope, Event, Fields
from headwater.event.codec import SIZE_LIMIT, headers
from schemas import codec, examples, registry
from schemas.organizations import OrganizationCreated
from schemas.roles import RoleCreated
from schemas.shared import TENANT
from tests.crm_reader import crm_reads
from tests.strategies import events, wrapped

PUBLISHED = sorted(name for name, event in examples.items() if not event.read_only)


def entry(event_type: str = "org.created", **fields: bytes) -> Fields:
    """A good entry with some of its fields replaced."""
    good = codec.encode(wrapped(examples[event_type]))
    return {**good, **{name.encode(): value for name, value in fields.items()}}


def refusal(fields: Fields) -> str:
    """The reason for which an entry can not be read."""
    with pytest.raises(EventError) as refused:
        codec.decode(fields)
    return refused.value.reason


def reading(fields: Fields) -> str:
    """The reason for which an entry can not be read, or nothing when it can."""
    try:
        return "" if codec.decode(fields).key else "no key"
    except EventError as error:
        return error.reason


def unpublishable(envelope: Envelope) -> str:
    """The reason for which an event can not be said."""
    with pytest.raises(EventError) as refused:
        codec.encode(envelope)
    return refused.value.reason


def organization(name: str = "Acme", **others: Any) -> OrganizationCreated:
    return OrganizationCreated(organization_id="o1", org_name=name, **others)


@given(event=events, version=st.integers(0, 2**63 - 1), historical=st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_event_reads_back_as_it_was_said(event: Event, version: int, historical: bool) -> None:
    said = wrapped(event, version, historical=historical)

    read = codec.decode(codec.encode(said))

    assert read.event == event
    assert msgspec.structs.replace(read, metadata={}) == said


@given(event=events)
@settings(max_examples=100, deadline=None)
def test_an_event_that_was_read_is_written_the_same_again(event: Event) -> None:
    fields = codec.encode(wrapped(event, historical=True))

    assert codec.encode(codec.decode(fields)) == fields


@given(event=events)
@settings(max_examples=100, deadline=None)
def test_the_existing_crm_reads_every_event_and_keeps_its_version_exactly(event: Event) -> None:
    version = 2**53 + 1

    read = crm_reads(codec.encode(wrapped(event, version)))

    assert read["eventType"] == event.type
    assert read["tenantId"] == TENANT
    assert read["version"] == str(version)
    assert read["metadata"]["isHistoricalSync"] is False


def test_a_version_that_javascript_knows_exactly_is_written_as_a_number() -> None:
    assert codec.encode(wrapped(organization(), 2**53))[b"version"] == b"9007199254740992"
    assert codec.encode(wrapped(organization(), 2**53 + 1))[b"version"] == b'"9007199254740993"'


def test_an_entry_is_readable_by_people() -> None:
    fields = codec.encode(wrapped(examples["credit.allocated"], 5, historical=True))

    assert list(fields) == [
        *(b"eventId", b"eventType", b"tenantId", b"entityId", b"amount", b"timestamp", b"source"),
        *(b"schemaVersion", b"op", b"version", b"key", b"target", b"hist", b"data", b"metadata"),
    ]
    assert fields[b"amount"] == b"1000.5"
    assert b'"expiresAt":"2027-01-15T00:00:00Z"' in fields[b"data"]
    metadata = msgspec.json.decode(fields[b"metadata"])
    assert metadata["isHistoricalSync"] is True
    assert metadata["targetApplication"] == "crm"
    assert metadata["originalAllocatedAt"] == "2024-01-15T10:30:00Z"
    assert metadata["availableCredits"] == 850


def test_only_historical_events_name_the_time_of_the_original() -> None:
    live = msgspec.json.decode(codec.encode(wrapped(examples["org.created"]))[b"metadata"])
    historical = codec.encode(wrapped(examples["org.created"], historical=True))[b"metadata"]

    assert "originalCreatedAt" not in live
    assert msgspec.json.decode(historical)["originalCreatedAt"] == "2024-01-02T09:00:00Z"


def test_amounts_keep_every_digit() -> None:
    text = b'{"allocationId":"a","sourceEntityId":"e","targetApplication":"crm","amount":12345678901.1234}'

    event = codec.decode(entry("credit.allocated", data=text)).event

    assert event.headline() == {"amount": Decimal("12345678901.1234")}


def test_the_correlation_survives_the_way() -> None:
    assert codec.decode(entry()).correlation == "org_ORG_1_1795325769100"


HOSTILE: dict[str, tuple[str, Fields]] = {
    "too large": ("oversize", entry(data=b'{"x":"' + b"a" * SIZE_LIMIT + b'"}')),
    "too many names": ("oversize", {**entry(), b"n" * SIZE_LIMIT: b""}),
    "bad UTF-8 in a field": ("invalid_utf8", entry(eventId=b"\xff")),
    "bad UTF-8 in data": ("invalid_utf8", entry(data=b'{"organizationId":"o","orgName":"\xff"}')),
    "NUL in a field": ("nul", entry(source=b"a\x00b")),
    "NUL in data": ("nul", entry(data=b'{"organizationId":"o","orgName":"a\\u0000"}')),
    "NUL in metadata": ("nul", entry(metadata=b'{"x":["\\u0000"]}')),
    "NUL in a name": ("nul", entry(metadata=b'{"\\u0000":1}')),
    "NaN": ("not_finite", entry("credit.allocated", data=b'{"allocationId":"a","amount":NaN}')),
    "minus infinity": (
        "not_finite",
        entry("credit.allocated", data=b'{"allocationId":"a","amount":-Infinity}'),
    ),
    "NaN as text": ("not_finite", entry("credit.allocated", data=b'{"allocationId":"a","amount":"NaN"}')),
    "an absurd amount": (
        "malformed",
        entry("credit.allocated", data=b'{"allocationId":"a","amount":1e999999}'),
    ),
    "a more absurd amount": (
        "malformed",
        entry("credit.allocated", data=b'{"amount":1e99999999999999999999}'),
    ),
    "a lone surrogate": ("surrogate", entry(data=b'{"organizationId":"o","orgName":"\\ud800"}')),
    "a lone low surrogate": ("surrogate", entry(data=b'{"organizationId":"o","orgName":"x\\udc00y"}')),
    "a nested array": ("nesting", entry(metadata=b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}")),
    "a nested object": ("nesting", entry(data=b'{"x":' * 40_000 + b"1" + b"}" * 40_000)),
    "no tenant": ("missing_tenant", entry(tenantId=b"")),
    "a tenant longer than any": ("missing_tenant", entry(tenantId=b"t" * 65)),
    "another tenant in data": ("foreign_tenant", entry(data=b'{"tenantId":"other"}')),
    "another tenant deep inside": ("foreign_tenant", entry(metadata=b'{"a":[{"b":{"tenantId":"other"}}]}')),
    "another tenant in disguise": ("foreign_tenant", entry(metadata=b'{"tenant\\u0049d":"other"}')),
    "no version": ("missing_version", entry(version=b"")),
    "a negative version": ("malformed", entry(version=b"-1")),
    "a version beyond bigint": ("malformed", entry(version=b"9223372036854775808")),
    "a version of 5,000 digits": ("malformed", entry(version=b"9" * 5_000)),
    "a version that is none": ("malformed", entry(version=b"1.0")),
    "an unknown event": ("unknown_event", entry(eventType=b"org.renamed")),
    "an unknown version": ("unknown_version", entry(schemaVersion=b"2")),
    "an unknown operation": ("malformed", entry(op=b"z")),
    "an operation the event does not mean": ("malformed", entry(op=b"d")),
    "no data": ("malformed", {name: value for name, value in entry().items() if name != b"data"}),
    "data that is no JSON": ("malformed", entry(data=b"{")),
    "data that is no object": ("malformed", entry(data=b"[]")),
    "a missing name": ("malformed", entry(data=b'{"organizationId":"o"}')),
    "an empty key": ("malformed", entry(data=b'{"organizationId":"","orgName":"x"}')),
    "a time without zone": (
        "malformed",
        entry(data=b'{"organizationId":"o","orgName":"x","createdAt":"2024-01-01T00:00:00"}'),
    ),
    "a number no column holds": (
        "malformed",
        entry(data=b'{"organizationId":"o","orgName":"x","entityLevel":1e10}'),
    ),
    "an id longer than any": ("malformed", entry(eventId=b"i" * 129)),
    "no id": ("malformed", entry(eventId=b"")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_entry_is_refused_with_its_reason(case: str) -> None:
    reason, fields = HOSTILE[case]

    assert refusal(fields) == reason
    assert reason in REASONS


@given(st.dictionaries(st.sampled_from(sorted(entry())), st.binary(max_size=60), max_size=12))
@settings(max_examples=400, deadline=None)
def test_no_bytes_at_all_make_reading_fail_otherwise(spoiled: Fields) -> None:
    assert reading({**entry(), **spoiled}) in {"", *REASONS}


def test_the_publisher_hears_of_a_bad_event_at_once() -> None:
    assert unpublishable(wrapped(organization("x" * SIZE_LIMIT))) == "oversize"
    assert unpublishable(wrapped(organization("a\x00b"))) == "nul"
    assert unpublishable(wrapped(organization("\ud800"))) == "surrogate"
    assert unpublishable(wrapped(organization(org_code="c" * 65))) == "malformed"
    assert unpublishable(wrapped(examples["credit.incremented"])) == "unknown_event"


def test_the_publisher_hears_of_a_bad_envelope_at_once() -> None:
    good = wrapped(organization())

    def spoiled(**changes: Any) -> str:
        return unpublishable(msgspec.structs.replace(good, **changes))

    assert spoiled(tenant="") == "missing_tenant"
    assert spoiled(version=None) == "missing_version"
    assert spoiled(source="\ud800") == "surrogate"
    assert spoiled(source="a\x00b") == "nul"
    assert spoiled(metadata={"ratio": [float("nan")]}) == "not_finite"
    assert spoiled(metadata={"tenantId": "another"}) == "foreign_tenant"
    assert spoiled(metadata={"thing": object()}) == "malformed"


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("-Infinity"), Decimal("1e30"), Decimal("1e-30")])
def test_an_amount_that_is_no_sane_number_can_not_even_be_said(number: Decimal) -> None:
    with pytest.raises(ValueError, match=r"finite|digits"):
        msgspec.structs.replace(examples["credit.allocated"], amount=number)


def test_free_form_json_holds_no_infinities() -> None:
    with pytest.raises(ValueError, match="finite"):
        RoleCreated(role_id="r", role_name="x", restrictions={"limit": [float("inf")]})


def test_an_active_allocation_names_who_gives_and_who_gets() -> None:
    with pytest.raises(ValueError, match="sourceEntityId"):
        msgspec.structs.replace(examples["credit.allocated"], source_entity_id=None)


@pytest.mark.parametrize("event_type", PUBLISHED)
def test_an_old_reader_finds_no_envelope_name_in_data(event_type: str) -> None:
    fields = codec.encode(wrapped(examples[event_type]))

    data = msgspec.json.decode(fields[b"data"])

    assert not set(data) & {name.decode() for name in fields if name != b"amount"} - set(
        examples[event_type].headline()
    )


def test_routing_reads_nothing_but_headers() -> None:
    fields = codec.encode(wrapped(examples["credit.allocated"]))

    assert headers(fields).concerns(b"crm")
    assert not headers(fields).concerns(b"hr")
    assert headers({b"eventType": b"credit.allocated"}).concerns(b"hr")


def test_without_a_reader_for_them_other_dialects_are_malformed() -> None:
    with pytest.raises(EventError) as refused:
        Codec(registry).decode({b"eventType": b"org_created"})

    assert refused.value.reason == "malformed"
