"""Lag of real groups: a number and an age in every state that Redis can be in."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headwater.broker import Broker
from headwater.broker.lag import COUNT_BOUND, Lag, lag, lags
from headwater.delivery.freshness import stale, standings
from headwater.errors import BrokerUnavailable, DeclarationError
from headwater.testing import RunningServers, controls, until
from headwater.topology import Catalogue

GROUP = "g"


@pytest_asyncio.fixture(loop_scope="session")
async def broker(servers: RunningServers) -> AsyncIterator[Broker]:
    broker = Broker(servers.redis_url)
    yield broker
    await broker.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stream(broker: Broker) -> AsyncIterator[str]:
    name = f"lag{uuid.uuid4().hex[:8]}"
    yield name
    await broker.execute("DEL", name)


async def add(broker: Broker, stream: str, count: int) -> list[str]:
    return [str(one) for one in await broker.append([(stream, {b"n": b"1"})] * count)]


async def measured(broker: Broker, stream: str) -> Lag:
    found = await lag(broker, stream, GROUP)
    assert found is not None
    return found


async def test_what_is_pending_is_as_old_as_when_it_was_appended_also_when_all_was_given_out(
    broker: Broker, stream: str
) -> None:
    await broker.create_group(stream, GROUP)
    first, _ = await add(broker, stream, 2)
    await broker.read(GROUP, "c", [stream], count=10, block=0.05)

    async def older() -> bool:
        return (await measured(broker, stream)).oldest >= 0.05

    await until(older)
    found = await measured(broker, stream)
    assert (found.entries, found.pending, found.unapplied, found.seconds) == (0, 2, 2, 0.0)
    await broker.acknowledge(GROUP, {stream: [first]})
    assert (await measured(broker, stream)).pending == 1


async def test_an_applied_stream_has_nothing_old(broker: Broker, stream: str) -> None:
    await broker.create_group(stream, GROUP)
    ids = await add(broker, stream, 3)
    await broker.read(GROUP, "c", [stream], count=10, block=0.05)
    await broker.acknowledge(GROUP, {stream: ids})

    found = await measured(broker, stream)

    assert (found.unapplied, found.oldest, found.exact, found.living) == (0, 0.0, True, 1)
    assert found.silent is not None
    assert found.silent < 15


async def test_a_trim_beyond_the_group_leaves_no_phantom_in_the_count(broker: Broker, stream: str) -> None:
    await broker.create_group(stream, GROUP)
    await add(broker, stream, 50)
    await broker.read(GROUP, "c", [stream], count=10, block=0.05)
    await broker.execute("XTRIM", stream, "MAXLEN", 5)

    found = await measured(broker, stream)

    assert (found.entries, found.exact, found.pending) == (5, True, 10)


async def test_a_group_made_in_the_middle_is_counted_page_by_page(broker: Broker, stream: str) -> None:
    ids = await add(broker, stream, 2_500)
    await broker.execute("XDEL", stream, ids[2_000])  # from here on Redis itself has lost count
    await broker.create_group(stream, GROUP, start=ids[9])
    (state,) = await broker.groups(stream)
    assert state.lag is None

    found = await measured(broker, stream)

    assert (found.entries, found.exact) == (2_500 - 10 - 1, True)


async def test_a_group_far_behind_is_counted_up_to_a_bound_and_says_so(broker: Broker, stream: str) -> None:
    ids = await add(broker, stream, COUNT_BOUND + 3)
    await broker.execute("XDEL", stream, ids[-2])
    await broker.create_group(stream, GROUP, start=ids[0])

    found = await measured(broker, stream)

    assert (found.entries, found.exact) == (COUNT_BOUND, False)


async def test_a_group_that_has_read_nothing_is_as_far_behind_as_the_stream_is_long(
    broker: Broker, stream: str
) -> None:
    ids = await add(broker, stream, COUNT_BOUND + 3)
    await broker.execute("XDEL", stream, ids[5])
    await broker.create_group(stream, GROUP)

    found = await measured(broker, stream)

    assert (found.entries, found.exact) == (COUNT_BOUND + 2, True)


async def test_ids_from_the_servers_future_give_a_lower_bound_that_says_so(
    broker: Broker, stream: str
) -> None:
    await broker.create_group(stream, GROUP)
    seconds, _ = await broker.execute("TIME")
    hour = (int(seconds) + 3600) * 1000
    await broker.execute("XADD", stream, f"{hour}-0", "n", "1")
    await broker.execute("XADD", stream, f"{hour + 2000}-0", "n", "1")

    found = await measured(broker, stream)

    assert (found.oldest, found.entries) == (2.0, 2)
    assert 3500 < found.clock_behind < 3700


async def test_many_groups_are_read_together_and_a_missing_one_is_told_apart(
    broker: Broker, stream: str
) -> None:
    await broker.create_group(stream, GROUP)
    await add(broker, stream, 1)

    here, no_group, no_stream = await lags(broker, [(stream, GROUP), (stream, "x"), (f"{stream}-no", GROUP)])

    assert here is not None
    assert here.entries == 1
    assert (no_group, no_stream) == (None, None)
    assert await lags(broker, []) == []


async def test_a_key_of_another_kind_is_an_error_and_not_a_missing_group(broker: Broker, stream: str) -> None:
    await broker.execute("SET", stream, "1")

    with pytest.raises(Exception, match="WRONGTYPE"):
        await lag(broker, stream, GROUP)


async def test_a_server_that_is_away_is_no_lag_of_zero() -> None:
    nobody = Broker("redis://127.0.0.1:1/0", timeout=0.5)

    with pytest.raises(BrokerUnavailable):
        await lag(nobody, "s", GROUP)
    await nobody.close()


@pytest_asyncio.fixture(loop_scope="session")
async def catalogue(broker: Broker) -> AsyncIterator[Catalogue]:
    catalogue = controls.CATALOGUE.with_prefix(f"f{uuid.uuid4().hex[:8]}:")
    yield catalogue
    await broker.execute("DEL", *catalogue.all_keys())


async def test_an_application_stands_as_its_slowest_stream_and_a_missing_group_is_never_fresh(
    broker: Broker, catalogue: Catalogue
) -> None:
    sales, goods = catalogue.keys_of("shelf")
    await broker.create_group(sales, "shelf-group")
    await add(broker, sales, 1)

    async def late() -> bool:
        return bool((await standings(broker, catalogue, "shelf"))[0].oldest > 0.02)

    await asyncio.wait_for(until(late), 10)
    found = await standings(broker, catalogue, "shelf")

    assert [(one.stream, one.missing, one.entries) for one in found] == [(sales, False, 1), (goods, True, 0)]
    assert [one.stream for one in stale(found, 0.01)] == [sales, goods]
    assert [one.stream for one in stale(found, 3600)] == [goods]
    assert len(await standings(broker, catalogue)) == 3
    with pytest.raises(DeclarationError):
        await standings(broker, catalogue, "nobody")
