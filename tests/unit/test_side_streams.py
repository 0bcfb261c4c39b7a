"""History goes to a side stream exactly where one was asked for, and nothing that is live ever does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.broker.protocol import pack_appends
from headwater.delivery.order import streams as ordered_streams
from headwater.delivery.shift import QUIET, SELDOM, sides_too
from headwater.errors import DeclarationError
from headwater.event import Event
from headwater.publish import Outgoing
from headwater.testing import controls
from headwater.topology import Catalogue, Group, Stream
from schemas import codec
from schemas.shared import TENANT
from streams import catalogue
from tests.strategies import events, wrapped

APPS = ["crm", "hr"]
asides = st.sets(st.sampled_from(APPS))


def test_side_streams_are_named_after_stream_and_application() -> None:
    declared = catalogue.with_side_streams(["hr"])

    assert declared.side_keys("hr") == ["credit-events:bf:hr", "hr:organization-assignments:bf:hr"]
    assert declared.side_keys("crm") == []
    assert declared.with_prefix("p:").side_keys("hr")[0] == "p:credit-events:bf:hr"
    assert catalogue.with_prefix("p:").with_side_streams(["hr"]).side_keys("hr")[0] == "p:credit-events:bf:hr"


def test_a_side_stream_has_as_many_partitions_as_its_stream() -> None:
    stream = Stream(name="goods", events=(controls.GoodChanged,), partitions=2)
    declared = Catalogue([stream], [Group(app="shelf", name="g", streams=("goods",))], aside=["shelf"])

    assert declared.side_keys("shelf") == ["goods:bf:shelf:{0}", "goods:bf:shelf:{1}"]
    assert declared.keys.side(stream, TENANT, "shelf") in declared.side_keys("shelf")


def test_streams_of_logs_alone_have_no_side_streams_because_logs_have_no_backfill() -> None:
    declared = controls.CATALOGUE.with_side_streams(["*"])

    assert declared.aside == {"shelf", "till"}
    assert declared.side_keys("shelf") == ["shelf:goods:bf:shelf"]
    assert declared.side_keys("till") == []


def test_an_application_is_meant_by_its_other_names_too_and_an_unknown_one_is_refused() -> None:
    stream = Stream(name="goods", events=(controls.GoodChanged,))
    group = Group(app="shelf", name="g", streams=("goods",), aliases=("rack",))
    declared = Catalogue([stream], [group], aside=["rack"])

    assert declared.side_keys("shelf") == ["goods:bf:shelf"]
    assert declared.side(stream, "rack") == declared.side(stream, "shelf") == "shelf"
    with pytest.raises(DeclarationError, match="unheard-of"):
        declared.with_side_streams(["unheard-of"])


@given(st.floats(0, 1e6), st.integers(0, 1000))
def test_side_streams_are_looked_after_at_every_turn_while_they_are_used_and_never_forgotten(
    quiet: float, turn: int
) -> None:
    turns = [sides_too(quiet, one) for one in range(turn, turn + SELDOM)]

    assert all(turns) if quiet < QUIET else turns.count(True) == 1


@given(asides)
def test_a_side_stream_is_read_by_its_application_alone(aside: set[str]) -> None:
    declared = catalogue.with_side_streams(aside)
    sides = {key: app for app in APPS for key in declared.side_keys(app)}

    readers = {key: [group.app for group in groups] for key, (_, groups) in declared.all_keys().items()}
    assert {key: readers[key] for key in sides} == {key: [app] for key, app in sides.items()}
    assert sides.keys().isdisjoint(catalogue.all_keys())
    for app in APPS:
        assert declared.keys_of(app) == catalogue.keys_of(app) + declared.side_keys(app)
        assert bool(declared.side_keys(app)) == (app in aside)


@given(events, asides, st.sampled_from(APPS), st.booleans())
def test_history_and_what_is_live_never_meet_on_a_stream_where_there_is_a_side_stream(
    event: Event, aside: set[str], app: str, historical: bool
) -> None:
    outgoing = Outgoing(codec, catalogue.with_side_streams(aside))
    envelope = msgspec.structs.replace(wrapped(event, historical=historical), target=app, job="j")
    # The same caches for both kinds, in either order.
    other = msgspec.structs.replace(envelope, historical=not historical)
    outgoing.appends(other, APPS)

    keys = [stream for stream, _ in outgoing.entries(envelope, APPS)]
    packed = outgoing.appends(envelope, APPS)

    plain = [stream for stream, _ in Outgoing(codec, catalogue).entries(envelope, APPS)]
    family = catalogue.stream(envelope.type)
    reads = family.name in catalogue.group(app).streams
    state = any(one.subject.state for one in family.events)
    expected = historical and app in aside and reads and state
    assert keys == [f"{key}:bf:{app}" for key in plain] if expected else keys == plain
    assert pack_appends(packed) == pack_appends(outgoing.entries(envelope, APPS))


def test_side_streams_of_what_is_read_in_order_are_read_in_order_too() -> None:
    consumer = controls.Consumer("shelf")
    consumer.upsert(
        controls.GoodChanged, gone=(controls.GoodRemoved,), table="goods", key="good_id", ordered=True
    )(type("Good", (), {"__annotations__": {"name": str}}))

    found = ordered_streams(consumer, controls.CATALOGUE.with_side_streams(["shelf"]))

    assert found == ["shelf:goods", "shelf:goods:bf:shelf"]
