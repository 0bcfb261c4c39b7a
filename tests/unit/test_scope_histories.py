"""Rows that move in and out of two applications' scopes: each application ends with the rows of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from headwater.event import Event, Fields
from headwater.event.codec import headers
from headwater.publish import Outgoing, Said
from headwater.publish.scope import Scope
from headwater.testing.controls import CODEC, GOODS, GoodChanged, GoodRemoved
from headwater.topology import Catalogue, Group, Stream

TENANT = "00000000-0000-4000-8000-00000000000a"
HOLDS: dict[str, Callable[[int], bool]] = {"shelf": lambda price: price < 6, "till": lambda price: price > 2}
"""Two scopes that share some rows."""


class Change(NamedTuple):
    """A good costs this now; None: it is deleted. `read`: a backfill for it reads the table afterwards."""

    good: str
    price: int | None
    read: str | None


class History(NamedTuple):
    """Changes, the kind of stream, and in what order entries are applied, some of them twice."""

    stream: str
    changes: Sequence[Change]
    order: Sequence[int]


changes = st.builds(
    Change,
    st.sampled_from("abc"),
    st.none() | st.integers(0, 9),
    st.none() | st.sampled_from(sorted(HOLDS)),
)
histories = st.builds(
    History,
    st.sampled_from(["goods", "{app}:goods"]),
    st.lists(changes, max_size=12),
    st.lists(st.integers(0, 99), max_size=12),
)


def outgoing(stream: str, *, scoped: bool) -> Outgoing:
    catalogue = Catalogue(
        [Stream(name=stream, events=(GoodChanged, GoodRemoved))],
        [Group(app=app, name=f"{app}-group", streams=(stream,)) for app in HOLDS],
    )
    scope = Scope(lambda event, app: HOLDS[app](event.price), lambda key: GoodRemoved(good_id=key))
    return Outgoing(CODEC, catalogue, scopes={GOODS.name: scope} if scoped else None)


def said(history: History, system: Outgoing) -> tuple[dict[str, int], list[tuple[str, Fields]]]:
    """The source's rows in the end, and every entry: of live changes, and of backfills between them."""
    rows: dict[str, tuple[int, int]] = {}
    entries: list[tuple[str, Fields]] = []
    for version, change in enumerate(history.changes, 1):
        event: Event = GoodRemoved(good_id=change.good)
        rows.pop(change.good, None)
        if change.price is not None:
            event = GoodChanged(good_id=change.good, name="n", price=Decimal(change.price))
            rows[change.good] = (change.price, version)
        entries += system.entries(Said(event, TENANT, version).envelope("test"), HOLDS)
        for good, (price, read) in rows.items():
            if change.read is not None and HOLDS[change.read](price):
                row = Said(GoodChanged(good_id=good, name="n", price=Decimal(price)), TENANT, read)
                past = row.envelope("test", target=change.read, job="j")
                entries += system.entries(past, ())
    return {good: price for good, (price, _) in rows.items()}, entries


def applied(history: History, entries: list[tuple[str, Fields]], app: str) -> set[str]:
    """What an application ends with, whose gate lets nothing in but a larger version."""
    mine = [fields for key, fields in entries if key in {"goods", f"{app}:goods"}]
    late = [mine[one % len(mine)] for one in history.order if mine]
    ledger: dict[str, tuple[int, bool]] = {}
    for fields in late + mine[::-1]:
        if headers(fields).concerns(app.encode()):
            key, version = fields[b"entityId"].decode(), int(fields[b"version"])
            if version > ledger.get(key, (0, False))[0]:
                ledger[key] = (version, fields[b"op"] == b"u")
    return {key for key, (_, there) in ledger.items() if there}


def agree(history: History, *, scoped: bool) -> bool:
    rows, entries = said(history, outgoing(history.stream, scoped=scoped))
    return all(
        applied(history, entries, app) == {good for good, price in rows.items() if holds(price)}
        for app, holds in HOLDS.items()
    )


@given(histories)
def test_each_application_ends_with_exactly_the_rows_of_its_scope(history: History) -> None:
    assert agree(history, scoped=True)


@pytest.mark.parametrize("stream", ["goods", "{app}:goods"])
def test_without_the_scope_of_events_there_is_a_history_that_ends_otherwise(stream: str) -> None:
    of_it = histories.map(lambda history: history._replace(stream=stream))
    bad = find(
        of_it,
        lambda history: not agree(history, scoped=False),
        settings=settings(database=None, phases=[Phase.generate]),
    )
    assert agree(bad, scoped=True)
