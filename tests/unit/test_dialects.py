"""Every captured entry of the existing systems, in each generation, is read as what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import REASONS, EventError
from headwater.event import Envelope, Fields
from schemas import codec, read_foreign
from schemas.assignments import AssignmentCreated
from schemas.credits import CreditConsumed, CreditIncremented
from schemas.organizations import OrganizationCreated, OrganizationDeleted, OrganizationNamed
from schemas.roles import RoleCreated, RoleUpdated
from schemas.tenants import ApplicationEnabled, TenantSyncRequired, TenantUpdated
from schemas.wire import CLOCKED
from schemas.wire.spelling import TYPES
from tests.captured import (
    CAPTURED,
    ENTITY,
    GENERATIONS,
    MILLISECONDS,
    NO_FACTS,
    SAID,
    TENANT,
    USER,
    Values,
    g2,
)
from tests.strategies import texts


def read(name: str, **changes: Any) -> Envelope:
    """A captured entry with some top-level values changed, read; None takes a value away."""
    values = {**CAPTURED[name].values, **changes}
    return codec.decode(g2({field: value for field, value in values.items() if value is not None}))


def refusal(fields: Fields) -> str:
    with pytest.raises(EventError) as refused:
        codec.decode(fields)
    return refused.value.reason


def organization(data: Values, entity: str = ENTITY, event_type: str = "org_created") -> Envelope:
    return read("a live organization", data=data, entityId=entity, eventType=event_type)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_entry_is_read_as_what_it_says(name: str, generation: str) -> None:
    captured = CAPTURED[name]

    envelope = read_foreign(GENERATIONS[generation](captured.values))

    assert envelope.event == captured.means
    assert (envelope.id, envelope.tenant, envelope.target) == (captured.id, TENANT, captured.target)
    assert (envelope.historical, envelope.version) == (captured.historical, captured.version)
    assert (envelope.time, envelope.op) == (SAID, envelope.event.op)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", NO_FACTS)
def test_what_is_no_fact_of_ours_is_recognised_and_refused(name: str, generation: str) -> None:
    assert refusal(GENERATIONS[generation](NO_FACTS[name])) == "unknown_event"


@pytest.mark.parametrize(
    ("spelling", "ours"),
    [
        ("credit_allocated", "credit.allocated"),
        ("org_created", "org.created"),
        ("organization.created", "org.created"),
        ("org_assignment_created", "org.assignment.created"),
        ("organization.assignment.created", "org.assignment.created"),
        ("organization_assignment_deleted", "org.assignment.deleted"),
        ("org.assignment.activated", "org.assignment.activated"),
        ("credit_config_updated", "credit.config_updated"),
        ("role_permissions_changed", "role.updated"),
        ("tenant_sync_required", "tenant.sync.required"),
    ],
)
def test_every_spelling_of_a_type_is_known(spelling: str, ours: str) -> None:
    assert TYPES[spelling] == ours


@pytest.mark.parametrize("name", ["source", "sourceApp", "sourceApplication"])
def test_the_speaker_may_stand_under_three_names(name: str) -> None:
    changes = {"sourceApp": None, name: "wrapper-api"}

    assert read("a live organization", **changes).source == "wrapper-api"


def test_a_tenant_may_stand_inside_data_when_nowhere_else() -> None:
    data = {**CAPTURED["an assignment"].values["data"], "tenantId": TENANT.upper()}

    assert read("an assignment", tenantId=None, data=data).tenant == TENANT


def test_an_entry_without_tenant_is_refused() -> None:
    values = {name: value for name, value in CAPTURED["an assignment"].values.items() if name != "tenantId"}

    assert refusal(g2(values)) == "missing_tenant"


def test_an_entry_that_names_another_tenant_inside_is_refused() -> None:
    values = CAPTURED["an assignment"].values
    data = {**values["data"], "metadata": {"was": [{"tenantId": USER}]}}

    assert refusal(g2({**values, "data": data})) == "foreign_tenant"


def test_an_allocation_without_a_type_is_known_by_its_reason() -> None:
    envelope = read("a historical credit", eventType=None, amount=None, metadata={
        "reason": "application_allocation", "allocationId": "a1", "availableCredits": "70.25",
    })  # fmt: skip

    event = envelope.event
    assert isinstance(event, CreditIncremented)
    assert (str(event.amount), event.allocation_id, event.cumulative) == ("70.25", "a1", False)


def test_an_entry_without_type_and_without_reason_is_refused() -> None:
    values = {
        name: value for name, value in CAPTURED["a use of credits"].values.items() if name != "eventType"
    }

    assert refusal(g2(values)) == "unknown_event"


def test_data_may_be_missing_and_stand_at_top_level() -> None:
    values = CAPTURED["a new role"].values
    flat = {**{name: value for name, value in values.items() if name != "data"}, **values["data"]}
    del flat["metadata"]

    assert codec.decode(g2(flat)).event == CAPTURED["a new role"].means


def test_numbers_and_truths_may_be_texts() -> None:
    data = {
        **CAPTURED["an assignment"].values["data"],
        "priority": "1",
        "isActive": "true",
        "isPrimary": "false",
    }

    assert read("an assignment", data=data).event == CAPTURED["an assignment"].means


def test_amounts_keep_every_digit_in_every_place() -> None:
    exact = "12345678901.1234"
    flat = {**g2(CAPTURED["a historical credit"].values), b"amount": exact.encode()}
    price = g2(CAPTURED["a price"].values)
    price[b"data"] = price[b"data"].replace(b'"1.5000"', exact.encode())

    assert str(codec.decode(flat).event.headline()["amount"]) == exact
    assert f'"creditCost":"{exact}"' in json.dumps(
        {"creditCost": str(getattr(codec.decode(price).event, "credit_cost", None))}, separators=(",", ":")
    )


@pytest.mark.parametrize(
    "shape",
    [
        {"crm": {"leads": ["read", "create"]}},
        {"crm": {"leads": {"read": True, "create": True, "delete": False}}},
        ["crm.leads.read", "crm.leads.create"],
        '["crm.leads.read","crm.leads.create","crm.leads.read"]',
        '{"crm":{"leads":["create","read"]}}',
        json.dumps('{"crm":{"leads":["create","read"]}}'),
    ],
)
def test_permissions_of_every_shape_become_one(shape: Any) -> None:
    event = read("a changed role", data={"roleId": "r", "roleName": "x", "permissions": shape}).event

    assert isinstance(event, RoleUpdated)
    assert event.permissions == ("crm.leads.create", "crm.leads.read")


def test_restrictions_may_be_json_inside_json() -> None:
    event = read("a new role", data={"roleName": "x", "restrictions": '{"limit": 1.5}'}).event

    assert isinstance(event, RoleCreated)
    assert event.restrictions == {"limit": 1.5}
    assert event.role_id == CAPTURED["a new role"].means.key


def test_live_and_historical_words_mean_the_same_organization() -> None:
    live = organization({"orgCode": ENTITY, "orgName": "Acme"}).event
    historical = organization(
        {"organizationId": ENTITY, "orgCode": "ORG_cae02c60", "orgName": "Acme"}, "ORG_cae02c60"
    ).event
    shouted = organization({"orgCode": ENTITY.upper(), "orgName": "Acme"}, ENTITY.upper()).event

    assert live.key == historical.key == shouted.key == ENTITY
    assert isinstance(live, OrganizationCreated)
    assert isinstance(historical, OrganizationCreated)
    assert (live.org_code, historical.org_code) == (None, "ORG_cae02c60")


@pytest.mark.parametrize("change", ["created", "updated", "deleted"])
def test_an_organization_known_only_by_its_code_stays_readable(change: str) -> None:
    envelope = organization({"orgCode": "ORG_1", "orgName": "Acme"}, "ORG_1", f"org_{change}")

    assert envelope.event == OrganizationNamed(org_code="ORG_1", org_name="Acme", change=change)
    assert envelope.version is None


def test_a_deleted_organization_is_known_by_its_uuid() -> None:
    event = organization({"orgCode": ENTITY, "deletedBy": USER}, event_type="org_deleted").event

    assert event == OrganizationDeleted(organization_id=ENTITY, deleted_by=USER)


def test_an_organization_that_nothing_names_is_refused() -> None:
    values = {**CAPTURED["a live organization"].values, "data": {"orgName": "Acme"}, "entityId": None}

    assert refusal(g2(values)) == "malformed"


def test_an_assignment_to_a_code_says_that_it_lacks_the_uuid() -> None:
    values = CAPTURED["an assignment"].values
    data = {**values["data"], "organizationId": "ORG_cae02c60"}

    assert refusal(g2({**values, "data": data})) == "malformed"


def test_other_names_of_an_application_are_one() -> None:
    metadata = {**CAPTURED["a historical credit"].values["metadata"], "targetApplication": "affiliateConnect"}

    envelope = read("a historical credit", metadata=metadata)

    assert envelope.target == "affiliate"
    assert isinstance(envelope.event, CreditIncremented)
    assert envelope.event.target_application == "affiliate"


def test_times_come_in_many_shapes() -> None:
    shapes = ["2026-11-22 06:56:09.100", str(MILLISECONDS), MILLISECONDS, "2026-11-22T07:56:09.100+01:00"]

    assert {read("an assignment", timestamp=shape).version for shape in shapes} == {MILLISECONDS}


def test_a_state_without_any_time_can_not_be_ordered() -> None:
    values = {**CAPTURED["an activated assignment"].values}
    del values["timestamp"]

    assert refusal(g2(values)) == "missing_version"


def test_a_clock_is_below_every_version_of_a_sequence() -> None:
    latest = read("an assignment", timestamp="9999-12-31T23:59:59Z").version

    assert latest is not None
    assert latest < 1 << 48


def test_every_clocked_subject_is_one_of_states() -> None:
    subjects = {captured.means.subject for captured in CAPTURED.values()}

    assert {one.name for one in subjects if one.state} <= CLOCKED
    assert not {one.name for one in subjects if not one.state} & CLOCKED


def test_a_fact_without_id_gets_the_same_one_each_time() -> None:
    first = read("a live organization", messageId=None)

    assert first.id == read("a live organization", messageId=None).id
    assert first.id != read("a live organization", messageId=None, timestamp="2026-11-22T06:56:10Z").id


def test_increments_without_id_differ_when_anything_in_them_differs() -> None:
    first = read("a historical credit", eventId=None)

    assert first.id == read("a historical credit", eventId=None).id
    assert first.id != read("a historical credit", eventId=None, amount=1000.25).id


def test_a_use_without_operation_is_identified_by_its_event() -> None:
    event = read("a use of credits", operationId=None).event

    assert isinstance(event, CreditConsumed)
    assert event.operation_id == CAPTURED["a use of credits"].id


def test_what_a_foreign_entry_carries_along_can_be_written_as_json_again() -> None:
    metadata = {"availableCredits": 850.25, "huge": 2**80, "deep": [{"ratio": 0.1}]}

    carried = read("a historical credit", metadata=metadata).metadata

    assert json.loads(json.dumps(carried)) == metadata


def test_tenants_and_applications_may_be_spoken_of_too() -> None:
    head = {"eventId": "e1", "tenantId": TENANT, "timestamp": SAID}

    def said(event_type: str, **data: Any) -> Any:
        return codec.decode(g2({**head, "eventType": event_type, "data": data})).event

    assert said("tenant.sync.required", reason="login") == TenantSyncRequired(tenant=TENANT, reason="login")
    assert said("tenant_updated", tenantName="Acme") == TenantUpdated(tenant=TENANT, company_name="Acme")
    assert said("application.enabled", appCode="affiliateConnect") == ApplicationEnabled(
        application="affiliate"
    )


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("nul", {b"data": b'{"assignmentId":"a\\u0000"}'}),
        ("nul", {b"data": json.dumps('{"assignmentId":"a\\u0000"}').encode()}),
        ("nul", {b"source": b'"a\\u0000"'}),
        ("not_finite", {b"data": b'{"priority":NaN}'}),
        ("surrogate", {b"data": b'{"reason":"\\ud800"}'}),
        ("invalid_utf8", {b"source": b"\xff"}),
        ("nesting", {b"metadata": b"[" * 60_000}),
        ("malformed", {b"data": b"[1]"}),
        ("malformed", {b"data": b"not json"}),
        ("malformed", {b"timestamp": b"yesterday"}),
        ("malformed", {b"eventId": b"e" * 200}),
        ("missing_tenant", {b"tenantId": b"undefined"}),
        ("oversize", {b"extra": b"x" * 300_000}),
    ],
)
def test_a_hostile_entry_is_refused_with_its_reason(reason: str, changes: Fields) -> None:
    assert refusal({**g2(CAPTURED["an assignment"].values), **changes}) == reason


def test_an_amount_that_is_no_number_is_refused() -> None:
    good = g2(CAPTURED["a use of credits"].values)

    assert refusal({**good, b"amount": b"NaN"}) == "not_finite"
    assert refusal({**good, b"amount": b"1e99999999999999999999"}) == "malformed"
    assert refusal({**good, b"amount": b"lots"}) == "malformed"


junk = st.binary(max_size=50) | st.sampled_from(
    [
        b"null",
        b"undefined",
        b'""',
        b"{}",
        b"[]",
        b"0",
        b"-1",
        b"1e400",
        b'"\\ud800"',
        b'{"a":' * 900,
        b"[" * 5000,
    ]
)
field_names = sorted({name for captured in CAPTURED.values() for name in g2(captured.values)})
values_inside = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.lists(texts, max_size=2)


def reading(fields: Fields) -> str:
    """The reason for which an entry can not be read, or nothing when it can."""
    try:
        envelope = read_foreign(fields)
    except EventError as error:
        return error.reason
    return "" if envelope.key and envelope.tenant else "no key"


@given(st.dictionaries(st.binary(max_size=12) | st.sampled_from(field_names), junk, max_size=14))
@settings(max_examples=400, deadline=None)
def test_no_bytes_at_all_make_reading_fail_otherwise(fields: Fields) -> None:
    assert reading(fields) in {"", *REASONS}


@given(
    name=st.sampled_from(sorted(CAPTURED)),
    generation=st.sampled_from(sorted(GENERATIONS)),
    spoiled=st.dictionaries(st.sampled_from([*field_names, b"rowOp", b"rowVersion"]), junk, max_size=3),
)
@settings(max_examples=500, deadline=None)
def test_a_spoiled_entry_is_read_or_refused_and_nothing_else(
    name: str, generation: str, spoiled: Fields
) -> None:
    assert reading({**GENERATIONS[generation](CAPTURED[name].values), **spoiled}) in {"", *REASONS}


@given(name=st.sampled_from(sorted(CAPTURED)), drawn=st.data())
@settings(max_examples=500, deadline=None)
def test_spoiled_facts_are_read_or_refused_and_nothing_else(name: str, drawn: st.DataObject) -> None:
    values = CAPTURED[name].values
    place = "data" if "data" in values else "metadata"
    spoiled = drawn.draw(st.dictionaries(st.sampled_from(sorted(values[place])), values_inside, max_size=3))

    fields = GENERATIONS["G1"]({**values, place: {**values[place], **spoiled}})

    assert reading(fields) in {"", *REASONS}


def test_a_full_assignment_reads_as_one() -> None:
    assert isinstance(read("an assignment").event, AssignmentCreated)
