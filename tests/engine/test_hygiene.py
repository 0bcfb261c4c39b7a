"""Lag and the removal of names, on every server that can be had: what no documentation promises."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headwater.broker import Broker, hygiene
from headwater.broker.client import RELEASED
from headwater.broker.lag import lag
from tests.engine.matrix import binaries, running

GROUP = "g"


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=binaries(), ids=lambda path: "-".join(path.parts[-2:])
)
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    path: Path = request.param
    async with running(path) as url:
        broker = Broker(url)
        yield broker
        await broker.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stream(broker: Broker) -> str:
    """A new one with its group and five entries."""
    name = f"s{uuid.uuid4().hex[:8]}"
    await broker.create_group(name, GROUP)
    await broker.append([(name, {b"n": b"1"})] * 5)
    return name


async def read(broker: Broker, stream: str, name: str, count: int) -> list[str]:
    return [one.id for one in await broker.read(GROUP, name, [stream], count=count, block=0.05)]


async def test_watching_the_stream_does_not_notice_what_a_name_is_given(broker: Broker, stream: str) -> None:
    """Why a removal reads in its own transaction what it has to put back."""
    await read(broker, stream, "dead", 1)
    async with broker._connection(broker._pool) as connection:
        for words in (("WATCH", stream), ("PING",)):
            await connection.send_command(*words)
            await connection.read_response()
        await read(broker, stream, "dead", 2)
        replies = []
        for words in (("MULTI",), ("XGROUP", "DELCONSUMER", stream, GROUP, "dead"), ("EXEC",)):
            await connection.send_command(*words)
            replies.append(await connection.read_response())

    assert replies[-1] == [3]  # executed all the same: three entries are pending nowhere
    assert (await lag(broker, stream, GROUP)).pending == 0  # type: ignore[union-attr]


async def test_a_removal_puts_back_what_the_name_holds_and_tells_what_is_gone(
    broker: Broker, stream: str
) -> None:
    first, second, third = await read(broker, stream, "dead", 3)
    await broker.execute("XDEL", stream, second)

    done = await hygiene.remove(broker, stream, GROUP, "dead")

    assert (done.put_back, done.lost, done.unknown) == ((first, third), (second,), 0)
    known = {one.name: one.pending for one in await broker.consumers(stream, GROUP)}
    assert known == {RELEASED: 2}
    page = await broker.claim_idle(stream, GROUP, "heir", min_idle=0.0)
    assert [one.id for one in page.entries] == [first, third]


async def test_a_name_that_holds_nothing_is_removed_without_a_trace(broker: Broker, stream: str) -> None:
    ids = await read(broker, stream, "done", 2)
    await broker.acknowledge(GROUP, {stream: ids})

    assert await hygiene.remove(broker, stream, GROUP, "done") == hygiene.Removed((), (), 0)
    assert await hygiene.remove(broker, stream, GROUP, "done") == hygiene.Removed((), (), 0)
    assert await broker.consumers(stream, GROUP) == []
    assert await hygiene.remove(broker, f"{stream}-no", GROUP, "done") == hygiene.Removed((), (), 0)


async def test_what_was_taken_back_by_the_server_belongs_to_no_name_that_goes(
    broker: Broker, stream: str
) -> None:
    await read(broker, stream, "w", 2)
    assert await broker.give_back(GROUP, "w", stream, idle=0.0) == 2

    known = await hygiene.consumers(broker, [stream], GROUP)
    names = {one.name for one in hygiene.unused(known[stream], ["w"], 0.0)}

    assert names == set()


async def test_lag_counts_right_after_deletions_and_trims(broker: Broker, stream: str) -> None:
    await read(broker, stream, "w", 2)
    found = await lag(broker, stream, GROUP)
    assert found is not None
    assert (found.entries, found.pending, found.exact) == (3, 2, True)
    newest = (await broker.range(stream))[-1].id

    await broker.execute("XDEL", stream, newest)
    found = await lag(broker, stream, GROUP)
    assert found is not None
    assert (found.entries, found.pending, found.exact) == (2, 2, True)
    await broker.execute("XTRIM", stream, "MAXLEN", 1)
    found = await lag(broker, stream, GROUP)
    assert found is not None
    assert (found.entries, found.exact) == (1, True)
