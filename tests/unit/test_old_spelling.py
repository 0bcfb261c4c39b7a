"""Streams for consumers not yet moved: they find what they know, and we lose nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import EventError
from headwater.event import Event
from headwater.event.codec import SIZE_LIMIT, headers
from headwater.publish import Outgoing
from headwater.topology import Catalogue
from schemas import codec, examples, respell
from schemas.roles import RoleCreated
from schemas.shared import ORGANIZATION, TENANT
from schemas.users import UserCreated
from streams import catalogue
from tests.crm_reader import crm_reads
from tests.strategies import events, wrapped

OLD_TYPES = {
    "credit.allocated": "credit.allocated",
    "credit.consumed": "credit.consumed",
    "credit.config_updated": "credit_config_updated",
    "org.created": "org_created",
    "org.assignment.created": "organization.assignment.created",
    "org.assignment.deactivated": "organization.assignment.deactivated",
    "user.created": "user_created",
    "user.deactivated": "user_deactivated",
    "role.created": "role.created",
    "role.assigned": "role_assigned",
}


def crm_finds(event: Event, key: str = "some:stream", **about: Any) -> dict[str, Any]:
    """What the existing CRM reads of an event written for it."""
    envelope = wrapped(event, **about)
    return crm_reads(respell(envelope, codec.encode(envelope), key))


@given(event=events, version=st.integers(0, 2**63 - 1), historical=st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_event_reads_back_with_its_version(event: Event, version: int, historical: bool) -> None:
    said = wrapped(event, version, historical=historical)

    read = codec.decode(respell(said, codec.encode(said), "some:stream"))

    assert read.event == event
    assert msgspec.structs.replace(read, metadata={}) == said


@pytest.mark.parametrize(("ours", "old"), OLD_TYPES.items())
def test_the_existing_crm_finds_the_type_it_knows(ours: str, old: str) -> None:
    read = crm_finds(examples[ours])

    assert read["eventType"] == old
    assert read["tenantId"] == TENANT
    assert read["metadata"]["isHistoricalSync"] is False


def test_an_organization_stands_in_the_envelope_the_crm_knows() -> None:
    key = "crm:sync:organization:org_created"

    read = crm_finds(examples["org.created"], key, historical=True)

    assert (read["streamId"], read["entityType"], read["action"]) == (key, "organization", "created")
    assert (read["sourceApp"], read["orgName"], read["isActive"]) == ("wrapper", "Acme", True)
    assert read["metadata"]["retryCount"] == 0
    assert read["metadata"]["isHistoricalSync"] is True
    assert "eventId" not in read
    assert read["messageId"]


def test_the_crm_finds_an_organization_under_the_id_its_assignments_name() -> None:
    organization = crm_finds(examples["org.created"])
    assignment = crm_finds(examples["org.assignment.created"])

    assert organization["orgCode"] == assignment["organizationId"] == ORGANIZATION


def test_an_assignment_stands_in_the_envelope_the_crm_knows() -> None:
    created = crm_finds(examples["org.assignment.created"])
    deleted = crm_finds(examples["org.assignment.deleted"])

    assert (created["version"], deleted["version"]) == (1.1, 1)
    assert {"assignmentId", "userId", "organizationId", "assignmentType", "priority"} <= set(created)
    assert deleted["reason"] == "permanent_removal"


def test_credits_stand_flat_with_their_amount_on_top() -> None:
    read = crm_finds(examples["credit.allocated"])

    assert read["amount"] == 1000.5
    assert read["entityId"] == ORGANIZATION
    assert read["metadata"]["availableCredits"] == 850


def test_a_role_carries_nested_permissions() -> None:
    read = crm_finds(examples["role.created"])

    assert read["permissions"] == {"crm": {"leads": ["create", "read"]}}
    assert (read["entityType"], read["publishedBy"]) == ("role", "wrapper")


def test_permissions_that_do_not_nest_stay_as_they_are() -> None:
    role = RoleCreated(role_id="r", role_name="x", permissions=("admin", "crm.leads.read"))

    assert crm_finds(role)["permissions"] == ["admin", "crm.leads.read"]


def test_a_large_version_stays_exact_for_a_reader_that_parses_every_field() -> None:
    assert crm_finds(examples["org.created"], version=2**53 + 1)["rowVersion"] == str(2**53 + 1)


def test_types_that_no_older_system_knows_stay_as_they_are() -> None:
    envelope = wrapped(examples["account.changed"])
    fields = codec.encode(envelope)

    assert respell(envelope, fields, "user-accounts") is fields


def test_an_entry_that_grows_too_large_is_refused_at_once() -> None:
    spare = len(b"".join(codec.encode(wrapped(UserCreated(user_id="u", name=""))).values()))
    envelope = wrapped(UserCreated(user_id="u", name="x" * (SIZE_LIMIT - spare - 150)))

    with pytest.raises(EventError) as refused:
        respell(envelope, codec.encode(envelope), "some:stream")

    assert refused.value.reason == "oversize"


def test_an_old_spelling_is_never_taken_for_our_own_dialect() -> None:
    envelope = wrapped(examples["org.created"])

    assert not headers(respell(envelope, codec.encode(envelope), "s")).own


def test_a_stream_declared_old_is_written_so() -> None:
    old = [msgspec.structs.replace(stream, spelling="old") for stream in catalogue.streams.values()]
    outgoing = Outgoing(codec, Catalogue(old, catalogue.groups.values()), respell)

    [(key, fields)] = outgoing.entries(wrapped(examples["org.created"]), ["crm"])

    assert key == "crm:sync:organization:org_created"
    assert fields[b"eventType"] == b"org_created"
    assert codec.decode(fields).event == examples["org.created"]
    assert codec.decode(fields).target == "crm"
