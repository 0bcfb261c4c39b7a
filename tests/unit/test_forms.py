"""The short way of writing an entry gives the bytes of the long one, or leaves the event to it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.broker.protocol import pack_appends
from headwater.errors import EventError
from headwater.event import Envelope, Event
from headwater.publish import Outgoing
from headwater.testing import controls
from headwater.testing.controls import GoodChanged, GoodSold
from schemas import codec
from schemas.assignments import AssignmentUpdated
from streams import catalogue
from tests.strategies import events, wrapped

NASTY = st.sampled_from(
    ["", "a", "a\x00", "\ud800", "é", "\x01", '"tenantId"', "x" * 70, "x" * 513, "x" * 300_000]
)
SHOP = Outgoing(controls.CODEC, controls.CATALOGUE)
SYSTEM = Outgoing(codec, catalogue)
APPS = {"crm", "hr", "shelf", "till"}


def long_way(outgoing: Outgoing, envelope: Envelope) -> bytes | str:
    try:
        return pack_appends(outgoing.entries(envelope, APPS))
    except EventError as error:
        return error.reason


def short_way(outgoing: Outgoing, envelope: Envelope) -> bytes | str:
    try:
        return pack_appends(outgoing.appends(envelope, APPS))
    except EventError as error:
        return error.reason


@given(events, st.booleans(), st.sampled_from(["", "c1"]))
def test_any_event_of_the_system_is_packed_the_same_either_way(
    event: Event, historical: bool, correlation: str
) -> None:
    envelope = wrapped(event, historical=historical)
    if historical:
        envelope = msgspec.structs.replace(envelope, target="crm", job="j")
    envelope = msgspec.structs.replace(envelope, correlation=correlation)

    assert short_way(SYSTEM, envelope) == long_way(SYSTEM, envelope)


@given(NASTY, NASTY, NASTY, st.sampled_from(["", "t", "x" * 65, "a\x00", "\ud800"]), NASTY, st.booleans())
def test_whatever_the_long_way_refuses_the_short_way_refuses_for_the_same_reason(
    key: str, name: str, identity: str, tenant: str, source: str, state: bool
) -> None:
    event = (
        GoodChanged(good_id=key, name=name) if state else GoodSold(sale_id=key, good_id=name, amount=2**60)
    )
    envelope = Envelope(
        id=identity, event=event, tenant=tenant, time="2026-04-05T06:07:08.009Z", source=source, op=event.op
    )
    versioned = msgspec.structs.replace(envelope, version=2**60)

    assert short_way(SHOP, envelope) == long_way(SHOP, envelope)
    assert short_way(SHOP, versioned) == long_way(SHOP, versioned)


def test_an_event_of_the_usual_kind_takes_the_short_way() -> None:
    said = GoodSold(sale_id="s", good_id="g", amount=1)
    envelope = Envelope(id="i", event=said, tenant="t", time="now", source="till", op="x")

    assert controls.CODEC.plain(envelope) == b'{"saleId":"s","goodId":"g","amount":1,"behave":""}'
    assert all(isinstance(one, bytes) for _, one in SHOP.appends(envelope, ()))


@given(st.sampled_from(["%", "%d", "100%b", "%%s", "plain"]), st.integers(0, 2**63 - 1))
def test_signs_that_mean_something_to_a_template_are_signs_like_others(sign: str, version: int) -> None:
    for target in ("*", sign):
        envelope = Envelope(
            id=sign,
            event=GoodChanged(good_id=sign, name=sign, note=sign),
            tenant=sign,
            time=sign,
            source=sign,
            version=version,
            target=target,
        )

        assert all(isinstance(one, bytes) for _, one in SHOP.appends(envelope, APPS))
        assert short_way(SHOP, envelope) == long_way(SHOP, envelope)


@pytest.mark.parametrize(
    "odd", [{"metadata": {"a": 1}}, {"correlation": "c"}, {"historical": True}, {"job": "j"}, {"op": "u"}]
)
def test_an_event_with_anything_more_takes_the_long_way(odd: dict[str, object]) -> None:
    said = GoodSold(sale_id="s", good_id="g", amount=1)
    envelope = Envelope(id="i", event=said, tenant="t", time="now", source="till", op="x")

    assert controls.CODEC.plain(msgspec.structs.replace(envelope, **odd)) is None


@given(NASTY, NASTY, NASTY, NASTY, st.booleans())
def test_history_is_packed_as_the_long_way_packs_it(
    key: str, name: str, correlation: str, job: str, state: bool
) -> None:
    event = (
        GoodChanged(good_id=key, name=name) if state else GoodSold(sale_id=key, good_id=name, amount=2**60)
    )
    said = Envelope(id="i", event=event, tenant="t", time="now", source="s", op=event.op, version=2**60)
    past = msgspec.structs.replace(said, historical=True, target="shelf", correlation=correlation, job=job)

    assert short_way(SHOP, past) == long_way(SHOP, past)


def test_history_of_the_usual_kind_takes_the_short_way_and_each_job_and_correlation_its_own() -> None:
    event = GoodChanged(good_id="g", name="n")
    said = Envelope(id="i", event=event, tenant="t", time="now", source="s", version=1, target="shelf")
    for job, correlation in (("j1", "c1"), ("j2", "c1"), ("j1", "c2"), ("", "")):
        past = msgspec.structs.replace(said, historical=True, job=job, correlation=correlation)

        assert all(isinstance(one, bytes) for _, one in SHOP.appends(past, ()))
        assert short_way(SHOP, past) == long_way(SHOP, past)


def test_an_update_that_means_gone_says_so_after_one_that_means_there() -> None:
    outgoing = Outgoing(codec, catalogue)
    about = {"assignment_id": "a1", "user_id": "u1", "organization_id": "o1"}
    for active in (True, False, True):
        event = AssignmentUpdated(**about, is_active=active)
        said = msgspec.structs.replace(wrapped(event), correlation="")

        assert short_way(outgoing, said) == long_way(outgoing, said)
