"""Streams and groups become what the catalogue declares, from the earliest entry; nothing is removed."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio

from headwater.broker import Broker, lag, provision
from headwater.broker.provision import Drift
from headwater.testing import RunningServers, controls
from headwater.topology import Catalogue


@pytest_asyncio.fixture(loop_scope="session")
async def broker(servers: RunningServers) -> AsyncIterator[Broker]:
    broker = Broker(servers.redis_url)
    yield broker
    await broker.close()


@pytest_asyncio.fixture(loop_scope="session")
async def catalogue(broker: Broker) -> AsyncIterator[Catalogue]:
    catalogue = controls.CATALOGUE.with_prefix(f"p{uuid.uuid4().hex[:8]}:")
    yield catalogue
    await broker.execute("DEL", *catalogue.all_keys())


def test_the_plan_names_what_is_missing_and_what_nobody_declared() -> None:
    found = {"sales": {"shelf-group", "stranger"}, "shelf:goods": None}

    assert provision.plan(controls.CATALOGUE, found) == [
        Drift("sales", "till-group", "missing_group"),
        Drift("sales", "stranger", "undeclared_group"),
        Drift("shelf:goods", "shelf-group", "missing_stream"),
    ]


def test_nothing_is_planned_where_everything_is_as_declared() -> None:
    found: dict[str, set[str] | None] = {
        "sales": {"shelf-group", "till-group"},
        "shelf:goods": {"shelf-group"},
    }

    assert provision.plan(controls.CATALOGUE, found) == []


async def test_what_is_missing_is_created_once_and_an_unknown_group_is_left_alone(
    broker: Broker, catalogue: Catalogue
) -> None:
    sales = catalogue.keys.prefix + "sales"
    await broker.create_group(sales, "stranger")

    created = await provision.apply(broker, catalogue)

    assert {(drift.stream, drift.group) for drift in created} == {
        (key, group.name) for key, (_, groups) in catalogue.all_keys().items() for group in groups
    }
    assert await provision.apply(broker, catalogue) == []
    assert {group.name for group in await broker.groups(sales)} == {"shelf-group", "till-group", "stranger"}
    assert await provision.compare(broker, catalogue) == [Drift(sales, "stranger", "undeclared_group")]


async def test_entries_appended_before_the_group_existed_are_delivered(
    broker: Broker, catalogue: Catalogue
) -> None:
    sales = catalogue.keys.prefix + "sales"
    (early,) = await broker.append([(sales, {b"n": b"early"})])

    await provision.ensure(broker, [sales], "till-group")

    entries = await broker.read("till-group", "c", [sales], count=10, block=0.05)
    assert [entry.id for entry in entries] == [early]


async def test_a_group_that_exists_keeps_its_place(broker: Broker, catalogue: Catalogue) -> None:
    sales = catalogue.keys.prefix + "sales"
    await provision.apply(broker, catalogue)
    await broker.append([(sales, {b"n": b"1"})])
    await broker.read("till-group", "c", [sales], count=10, block=0.05)

    assert await provision.ensure(broker, [sales], "till-group") == []

    assert await broker.read("till-group", "c", [sales], count=10, block=0.05) == []


async def test_lag_is_known_even_where_redis_has_lost_count(broker: Broker, catalogue: Catalogue) -> None:
    sales = catalogue.keys.prefix + "sales"
    await provision.apply(broker, catalogue)
    ids = [str(one) for one in await broker.append([(sales, {b"n": b"1"})] * 5)]
    await broker.read("till-group", "c", [sales], count=2, block=0.05)
    await broker.execute("XDEL", sales, ids[3])

    behind = await lag.lag(broker, sales, "till-group")

    assert behind is not None
    assert (behind.entries, behind.pending, behind.living) == (2, 2, 1)
    assert 0 <= behind.seconds <= behind.oldest < 60
    assert await lag.lag(broker, sales, "nobody") is None


async def test_entries_that_were_trimmed_away_unread_are_no_lag(broker: Broker, catalogue: Catalogue) -> None:
    sales = catalogue.keys.prefix + "sales"
    await provision.apply(broker, catalogue)
    await broker.append([(sales, {b"n": b"1"})] * 5)
    await broker.execute("XTRIM", sales, "MAXLEN", 0)

    behind = await lag.lag(broker, sales, "till-group")

    assert behind is not None
    assert (behind.entries, behind.seconds) == (0, 0.0)
