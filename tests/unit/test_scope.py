"""Every application that reads a state hears of it once: as it is where it belongs, else as gone."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import BrokerRefused, BrokerUnavailable
from headwater.event import Envelope
from headwater.event.codec import headers
from headwater.publish import Outgoing, Said
from headwater.publish.moving import fate
from headwater.publish.scope import Scope
from headwater.publish.span import Between, Span, went
from headwater.testing.controls import CODEC, GOODS, GoodChanged, GoodRemoved
from headwater.topology import Catalogue, Group, Stream

APPS = ("shelf", "till", "web")
TENANT = "00000000-0000-4000-8000-00000000000a"


def outgoing(name: str, inside: set[str], asked: list[str]) -> Outgoing:
    """A system of three applications that read goods, of which these hold them."""

    def holds(event: GoodChanged, app: str) -> bool:
        asked.append(app)
        return app in inside

    catalogue = Catalogue(
        [Stream(name=name, events=(GoodChanged, GoodRemoved))],
        [Group(app=app, name=f"{app}-group", streams=(name,), aliases=(f"old-{app}",)) for app in APPS],
    )
    return Outgoing(CODEC, catalogue, scopes={GOODS.name: Scope(holds, lambda key: GoodRemoved(good_id=key))})


def state(**history: str) -> Envelope:
    return Said(GoodChanged(good_id="g", name="n"), TENANT, 7).envelope("test", **history)  # type: ignore[arg-type]


some_apps = st.sets(st.sampled_from(APPS))


@given(st.sampled_from(["goods", "{app}:goods"]), some_apps, some_apps)
def test_every_application_hears_of_it_once_and_as_it_is_only_where_it_belongs(
    name: str, inside: set[str], enabled: set[str]
) -> None:
    found = outgoing(name, inside, []).entries(state(), enabled)

    heard = {
        app: [
            fields[b"op"]
            for key, fields in found
            if key in {name, name.replace("{app}", app)} and headers(fields).concerns(app.encode())
        ]
        for app in APPS
    }
    reached = set(APPS) if name == "goods" else enabled
    assert heard == {app: ([b"u" if app in inside else b"d"] if app in reached else []) for app in APPS}
    assert {fields[b"version"] for _, fields in found} <= {b"7"}
    ids = {(fields[b"op"], fields[b"eventId"]) for _, fields in found}
    assert len({identity for _, identity in ids}) == len(ids)  # two facts never have one id


@given(st.sampled_from(["goods", "{app}:goods"]), some_apps, some_apps)
def test_packed_it_is_the_same(name: str, inside: set[str], enabled: set[str]) -> None:
    system = outgoing(name, inside, [])
    streams = [key for key, _ in system.entries(state(), enabled)]

    assert [key for key, _ in system.appends(state(), enabled)] == streams
    assert [key for key, _ in system.appends(state(), enabled)] == streams  # and with its form known


@given(st.sampled_from(["goods", "{app}:goods"]), st.sampled_from(APPS), some_apps)
def test_history_asks_only_for_the_application_it_is_for(name: str, app: str, inside: set[str]) -> None:
    asked: list[str] = []
    found = outgoing(name, inside, asked).entries(state(target=app, job="j"), ())

    assert asked == [app]
    assert [(fields[b"op"], fields[b"target"]) for _, fields in found] == [
        (b"u" if app in inside else b"d", app.encode())
    ]


def test_what_is_gone_already_is_not_asked() -> None:
    asked: list[str] = []
    gone = Said(GoodRemoved(good_id="g"), TENANT, 7).envelope("test")

    assert len(outgoing("goods", set(), asked).entries(gone, ())) == 1
    assert asked == []


def test_a_row_that_has_two_entries_on_a_stream_is_there_when_both_are() -> None:
    wanted = ["s", "s", "t"]
    refused = BrokerRefused("OOM")

    assert fate(None, wanted, [("s", "1-1"), ("s", "1-2"), ("t", "1-3")]) == ("s@1-1 s@1-2 t@1-3", None)
    assert fate(None, wanted, [("s", "1-1"), ("s", refused), ("t", "1-3")]) == ("t@1-3", "s")
    assert fate(None, wanted, [("s", refused), ("s", "1-2"), ("t", "1-3")]) == ("t@1-3", "s")
    assert fate(None, wanted, [("s", BrokerUnavailable("gone")), ("s", "1-2"), ("t", "1-3")]) is None


def test_either_of_two_entries_that_lies_in_a_span_brings_the_row_back() -> None:
    lost = Span(streams={"s": Between("1-0", "1-5")}, until=datetime.now(UTC))
    entries = "s@1-4 s@1-9"

    assert lost.again(entries, [("s", b"first"), ("s", b"second")]) == [("s", b"first"), ("s", b"second")]
    assert lost.again("s@1-6 s@1-9", [("s", b"first")]) == []
    assert went(entries, lost.streams) == ("s",)
