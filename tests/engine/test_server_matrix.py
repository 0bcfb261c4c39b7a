"""What a worker relies on, on every server that can be had: with its newest commands, and without."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headwater.broker import Broker, Features, Portion
from headwater.broker.client import RELEASED
from headwater.broker.features import NOWHERE, knows
from headwater.delivery import Limits, Pace
from headwater.errors import BrokerRefused, BrokerUnavailable, GroupMissing
from headwater.testing import until
from tests.engine.clock_step import step_back
from tests.engine.conftest import Shop, Stock, opened
from tests.engine.entries import SALES, applied, calls, put, sale, settled, started, take
from tests.engine.matrix import binaries, running

PATIENT = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0)
"""Takes nothing over from others within a test."""


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=binaries(), ids=lambda path: "-".join(path.parts[-2:])
)
async def redis_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    path: Path = request.param
    async with running(path) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def here(redis_url: str, templates: tuple[Stock, Stock]) -> AsyncIterator[Shop]:
    """A shop on the server of the hour."""
    async with opened(templates, redis_url) as shop:
        yield shop


@pytest_asyncio.fixture(loop_scope="session", params=["as it is", "without anything new"])
async def broker(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """A broker that uses what the server can do, and one that believes it can do nothing."""
    broker = Broker(redis_url) if request.param == "as it is" else Plain(redis_url)
    yield broker
    await broker.close()


class Plain(Broker):
    """Takes every server for a Redis 7.0."""

    async def features(self) -> Features:
        return Features()


async def filled(broker: Broker, *sizes: int) -> tuple[str, list[str]]:
    """A stream of entries with bodies of these sizes, and its group; their ids."""
    stream = f"test:{uuid.uuid4().hex}"
    await broker.create_group(stream, "g")
    ids = await broker.append([(stream, {b"n": b"x" * size}) for size in sizes])
    return stream, [str(one) for one in ids]


async def test_what_a_server_can_do_is_found_and_nothing_is_written_by_asking(redis_url: str) -> None:
    broker = Broker(redis_url)
    version = await broker.version()

    found = await broker.features()

    assert await broker.execute("EXISTS", NOWHERE) == 0
    expected = [] if version.startswith(("redis 7.", "valkey ")) else None
    assert found.names == (expected if expected is not None else found.names)
    if version.startswith("redis 8.10"):
        assert found == Features(
            nack=True,
            claim=True,
            bounded_read=True,
            acknowledge_delete=True,
            trim_acknowledged=True,
            idempotent=True,
        )
    await broker.close()


async def test_a_server_that_takes_no_questions_now_is_asked_again(redis_url: str) -> None:
    patient, hasty, asking = Broker(redis_url), Broker(redis_url), Broker(redis_url, timeout=60.0)
    before = await patient.execute("CONFIG", "GET", "lua-time-limit")
    await patient.execute("CONFIG", "SET", "lua-time-limit", "1")
    endless = asyncio.create_task(asking.execute("EVAL", "while true do end", 0))

    async def is_busy() -> bool:
        (answer,) = await hasty.ask([("PING",)])
        return str(answer).startswith("BUSY")

    try:
        await until(is_busy)
        assert await hasty.features() == Features()
    finally:
        await until(lambda: ended(patient, endless))
        await patient.execute("CONFIG", "SET", "lua-time-limit", before[1])
    assert await hasty.features() == await patient.features()
    for broker in (patient, hasty, asking):
        await broker.close()


async def ended(broker: Broker, endless: asyncio.Task[object]) -> bool:
    await broker.ask([("SCRIPT", "KILL")])
    await asyncio.wait([endless], timeout=0.1)
    return endless.done() and endless.exception() is not None


def test_only_an_answer_that_understood_the_option_counts_as_knowing_it() -> None:
    assert knows(GroupMissing("NOGROUP No such key"))
    assert knows(None)
    assert knows([-1])
    assert not knows(BrokerRefused("syntax error"))
    assert not knows(BrokerRefused("NOPERM this user has no permissions"))
    assert not knows(BrokerUnavailable("OOM command not allowed"))


async def test_what_is_given_back_is_claimed_at_once_and_has_no_owner_meanwhile(broker: Broker) -> None:
    stream, ids = await filled(broker, 1, 1)
    await broker.read("g", "leaving", [stream], count=10, block=0.05)

    given = await broker.give_back("g", "leaving", stream, idle=60)

    assert given == len(ids)
    assert await broker.held_by("g", "leaving", stream) == set()
    page = await broker.claim_idle(stream, "g", "staying", min_idle=59)
    assert [entry.id for entry in page.entries] == ids


async def test_what_was_taken_over_meanwhile_is_not_given_back(broker: Broker) -> None:
    stream, ids = await filled(broker, 1, 1)
    await broker.read("g", "zombie", [stream], count=10, block=0.05)
    await broker.execute("XCLAIM", stream, "g", "heir", 0, ids[0])

    assert await broker.give_back("g", "zombie", stream, idle=60) == 1

    assert await broker.held_by("g", "heir", stream) == {ids[0]}


async def test_a_read_brings_no_more_than_was_asked_for_where_the_server_can_count_bytes(
    broker: Broker,
) -> None:
    stream, ids = await filled(broker, *[10_000] * 20)
    bounded = (await broker.features()).bounded_read

    portion = Portion(each=20, most=20, size=50_000)
    first = await broker.read("g", "c", [stream], count=portion, block=0.05)
    rest = await broker.read("g", "c", [stream], count=100, block=0.05) if bounded else []

    assert len(first) == (5 if bounded else 20)
    assert [entry.id for entry in [*first, *rest]] == ids


async def test_entries_of_several_streams_are_bounded_together(broker: Broker) -> None:
    streams = [(await filled(broker, *[1] * 10))[0] for _ in range(3)]
    bounded = (await broker.features()).bounded_read

    found = await broker.read("g", "c", streams, count=Portion(each=10, most=12, size=1_000_000), block=0.05)

    assert len(found) == (12 if bounded else 30)


async def test_a_worker_leaves_nothing_under_its_name_and_the_next_one_applies_it(here: Shop) -> None:
    later = Limits(attempts=100, first=60.0)
    leaving = await started(here, here.worker(name="leaving", pace=PATIENT, limits=later))
    (_, late) = await put(here, sale(here, "s1"), sale(here, "late", behave="crash"))
    await applied(here, "s1", pending=1)
    key = here.key(SALES)
    assert await here.broker.held_by("shelf-group", "leaving", key) == {late}

    await here.stop(leaving)

    assert await here.broker.held_by("shelf-group", "leaving", key) == set()
    here.start(here.worker(name="staying", limits=later))
    await until(lambda: here.broker.held_by("shelf-group", "staying", key))


async def test_what_a_dead_worker_held_is_taken_over_without_new_traffic(here: Shop) -> None:
    await put(here, *(sale(here, f"s{n}") for n in range(3)))
    await take(here, "dead")

    here.start(here.worker(name="living"))

    await applied(here, "s0", "s1", "s2")


async def test_what_a_crashed_worker_held_is_taken_up_at_its_restart(here: Shop) -> None:
    await put(here, sale(here, "s1"))
    await take(here, "w1")

    here.start(here.worker(name="w1", pace=PATIENT))

    await applied(here, "s1")


async def test_a_flushed_server_gets_its_streams_and_groups_again(here: Shop) -> None:
    await started(here, here.worker())
    await put(here, sale(here, "s1"))
    await applied(here, "s1")

    await here.broker.execute("FLUSHALL")
    await put(here, sale(here, "s2"))

    await applied(here, "s1", "s2")


async def lease(shop: Shop, name: str, seconds: float) -> None:
    """Write that a process holds, or held, this name."""
    await shop.sink.execute(
        "INSERT INTO headwater.worker_name (app, name, token, lease_until) "
        "VALUES ('shelf', $1, gen_random_uuid(), clock_timestamp() + make_interval(secs => $2))",
        *(name, seconds),
    )


async def test_what_a_dead_worker_held_is_taken_over_although_the_clock_of_the_server_went_back(
    here: Shop,
) -> None:
    await put(here, sale(here, "s1"), sale(here, "s2"))
    held = await take(here, "dead")
    key = here.key(SALES)
    assert await step_back(here.broker, key, "shelf-group", 3600.0) == len(held)
    await lease(here, "dead", -1.0)

    async def nothing_is_idle() -> bool:
        times = [one[2] for one in await here.broker.execute("XPENDING", key, "shelf-group", "-", "+", 9)]
        page = await here.broker.claim_idle(key, "shelf-group", "other", min_idle=0.01)
        return times == [0, 0] and page.entries == []

    assert await nothing_is_idle()

    here.start(here.worker(name="living"))

    await applied(here, "s1", "s2")


async def test_what_was_given_away_before_the_clock_went_back_is_taken_all_the_same(here: Shop) -> None:
    await put(here, sale(here, "s1"))
    await take(here, "left")
    key = here.key(SALES)
    await here.broker.execute(
        "XCLAIM", key, "shelf-group", RELEASED, 0, *await here.broker.held_by("shelf-group", "left", key)
    )
    assert await step_back(here.broker, key, "shelf-group", 3600.0) == 1

    here.start(here.worker(name="living"))

    await applied(here, "s1")


async def test_what_a_living_worker_holds_is_left_to_it_whatever_the_clock_of_the_server_says(
    here: Shop,
) -> None:
    await put(here, sale(here, "s1"))
    await take(here, "slow")
    key = here.key(SALES)
    await step_back(here.broker, key, "shelf-group", 3600.0)
    await lease(here, "slow", 60.0)

    worker = await started(here, here.worker(name="living"))
    asked = await calls(here.broker, "xpending")

    async def has_looked_often() -> bool:
        return await calls(here.broker, "xpending") >= asked + 8

    await until(has_looked_often, within=60.0)
    assert await here.broker.held_by("shelf-group", "slow", key)
    assert worker.statistics()["applied"] == 0


async def test_an_entry_of_a_dead_worker_that_is_gone_is_recorded_although_the_clock_went_back(
    here: Shop,
) -> None:
    (entry,) = await put(here, sale(here, "s1"))
    await take(here, "dead")
    key = here.key(SALES)
    await step_back(here.broker, key, "shelf-group", 3600.0)
    await lease(here, "dead", -1.0)
    await here.broker.execute("XDEL", key, entry)

    worker = here.start(here.worker(name="living"))

    await until(lambda: worker.statistics()["lost"] == 1)
    await until(lambda: settled(here))
