"""Publishing without a database: pipelines are shared, and every outcome is the truth."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio

from headwater.broker import Appender, Broker, Entry
from headwater.errors import DatabaseUnavailable, EventError
from headwater.publish import DirectProducer, Enablement, Outgoing, Said
from headwater.publish.outgoing import MOST_KNOWN
from headwater.testing import FaultProxy, RunningServers, controls, until
from tests.engine.conftest import Shop


@dataclass
class Counter:
    """A producer behind a proxy, and a broker that sees what really happened."""

    producer: DirectProducer
    proxy: FaultProxy
    redis: Broker
    prefix: str
    enabled: set[str]
    tenant: str

    async def entries(self, name: str = "sales", count: int = 1000) -> list[Entry]:
        return await self.redis.range(self.prefix + name, count=count)


@pytest_asyncio.fixture(loop_scope="session")
async def counter(servers: RunningServers) -> AsyncIterator[Counter]:
    enabled = {"shelf"}

    async def who(tenants: Iterable[str]) -> Mapping[str, set[str]]:
        return dict.fromkeys(tenants, enabled)

    catalogue = controls.CATALOGUE.with_prefix(f"d{uuid.uuid4().hex[:8]}:")
    outgoing = Outgoing(controls.CODEC, catalogue)
    async with FaultProxy.before(servers.redis_url) as proxy:
        behind, redis = Broker(proxy.url, timeout=1.0), Broker(servers.redis_url)
        producer = DirectProducer(outgoing, behind, enabled=who, source="till")
        yield Counter(producer, proxy, redis, catalogue.keys.prefix, enabled, str(uuid.uuid4()))
        await producer.close()
        await behind.close()
        await redis.execute("DEL", *catalogue.all_keys())
        await redis.close()


def sale(name: str) -> controls.GoodSold:
    return controls.GoodSold(sale_id=name, good_id="g", amount=1)


async def test_concurrent_publishes_share_pipelines_and_keep_their_order(counter: Counter) -> None:
    await counter.producer.publish(sale("first"), tenant=counter.tenant)
    counter.proxy.delay(0.005)
    before = counter.proxy.requests

    said = [counter.producer.publish(sale(f"s{n:03}"), tenant=counter.tenant) for n in range(200)]
    outcomes = await asyncio.gather(*said)

    assert {one.outcome for one in outcomes} == {"ok"}
    assert counter.proxy.requests - before <= 5
    entries = await counter.entries()
    assert [entry.id for entry in entries[1:]] == [one.entries[0][1] for one in outcomes]
    keys = [(entry.fields or {})[b"key"] for entry in entries[1:]]
    assert keys == sorted(keys)


async def test_an_event_goes_to_the_applications_that_are_enabled_and_to_no_other(counter: Counter) -> None:
    good = controls.GoodChanged(good_id="g1", name="tea")
    there = await counter.producer.publish(good, tenant=counter.tenant, version=1)
    counter.enabled.clear()
    nowhere = await counter.producer.publish(good, tenant=counter.tenant, version=2)

    assert [stream for stream, _ in there.entries] == [counter.prefix + "shelf:goods"]
    assert (nowhere.outcome, nowhere.entries) == ("ok", ())
    assert len(await counter.entries("shelf:goods")) == 1


async def test_who_can_not_be_asked_where_an_event_goes_makes_it_fail_and_not_raise(counter: Counter) -> None:
    async def nobody(tenants: Iterable[str]) -> Mapping[str, set[str]]:
        raise DatabaseUnavailable("the source is away")

    outgoing = Outgoing(controls.CODEC, controls.CATALOGUE.with_prefix(counter.prefix))
    producer = DirectProducer(outgoing, counter.redis, enabled=nobody, source="till")
    good = controls.GoodChanged(good_id="g1", name="tea")

    one = await producer.publish(good, tenant=counter.tenant, version=1)
    many = await producer.publish_many([Said(good, counter.tenant, 1), Said(sale("s1"), counter.tenant)])

    assert [one.outcome, *(each.outcome for each in many)] == ["failed"] * 3
    assert "the source is away" in one.error
    assert await counter.entries() == []


async def test_a_lost_answer_is_unknown_and_saying_it_again_has_the_same_id(counter: Counter) -> None:
    counter.proxy.lose_reply(to=b"XADD")

    unknown = await counter.producer.publish(sale("s1"), tenant=counter.tenant, operation_id="s1")
    again = await counter.producer.publish(sale("s1"), tenant=counter.tenant, operation_id="s1")

    assert (unknown.outcome, again.outcome) == ("unknown", "ok")
    assert unknown.error
    assert unknown.event_id == again.event_id
    assert {(entry.fields or {})[b"eventId"].decode() for entry in await counter.entries()} == {
        again.event_id
    }


async def test_without_a_connection_it_has_failed_for_sure(counter: Counter) -> None:
    await counter.proxy.refuse()

    failed = await counter.producer.publish(sale("s1"), tenant=counter.tenant)
    await counter.proxy.heal()
    later = await counter.producer.publish(sale("s2"), tenant=counter.tenant)

    assert (failed.outcome, later.outcome) == ("failed", "ok")
    assert len(await counter.entries()) == 1


async def test_a_refused_entry_fails_alone_and_says_why(counter: Counter) -> None:
    await counter.redis.execute("SET", counter.prefix + "shelf:goods", "not a stream")
    good = controls.GoodChanged(good_id="g1", name="tea")

    outcomes = await asyncio.gather(
        counter.producer.publish(sale("before"), tenant=counter.tenant),
        counter.producer.publish(good, tenant=counter.tenant, version=1),
        counter.producer.publish(sale("behind"), tenant=counter.tenant),
    )

    assert [one.outcome for one in outcomes] == ["ok", "failed", "ok"]
    assert "WRONGTYPE" in outcomes[1].error
    assert len(await counter.entries()) == 2


async def test_a_caller_that_gives_up_waiting_takes_nothing_from_the_others(counter: Counter) -> None:
    await counter.producer.publish(sale("first"), tenant=counter.tenant)
    before = counter.proxy.requests
    counter.proxy.black_hole()
    impatient = asyncio.create_task(counter.producer.publish(sale("s1"), tenant=counter.tenant))
    await until(lambda: counter.proxy.requests > before)
    patient = asyncio.create_task(counter.producer.publish(sale("s2"), tenant=counter.tenant))
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    await counter.proxy.heal()

    assert (await patient).outcome == "ok"
    assert len(await counter.entries()) == 3


async def test_of_many_events_one_that_breaks_its_contract_fails_alone(counter: Counter) -> None:
    said = [Said(sale(f"s{n:03}"), counter.tenant) for n in range(250)]
    said[120] = Said(sale("a\x00b"), counter.tenant)

    published = await counter.producer.publish_many(said)

    assert [one.outcome for one in published] == ["ok"] * 120 + ["failed"] + ["ok"] * 129
    assert published[120].error.startswith("nul: ")
    entries = [entry.id for entry in await counter.entries()]
    assert entries == [stream_and_id[1] for one in published for stream_and_id in one.entries]


async def test_of_many_events_those_under_way_are_unknown_and_those_not_sent_surely_nowhere(
    counter: Counter,
) -> None:
    said = [Said(sale(f"s{n:05}"), counter.tenant, operation_id=f"s{n}") for n in range(20_000)]
    counter.proxy.lose_reply(to=b"XADD")

    published = await counter.producer.publish_many(said)
    there = {(entry.fields or {})[b"eventId"].decode() for entry in await counter.entries(count=50_000)}
    again = await counter.producer.publish_many(said)

    assert counter.proxy.lost == 1
    assert published[0].outcome == "unknown"
    assert published[-1].outcome == "failed"
    for one in published:
        assert one.outcome == "unknown" or (one.event_id in there) == (one.outcome == "ok")
    assert {one.outcome for one in again} == {"ok"}
    assert [one.event_id for one in again] == [one.event_id for one in published]


async def test_a_state_without_a_version_is_refused_before_any_of_many_is_sent(counter: Counter) -> None:
    good = controls.GoodChanged(good_id="g1", name="tea")
    with pytest.raises(EventError) as raised:
        await counter.producer.publish_many([Said(sale("s1"), counter.tenant), Said(good, counter.tenant)])

    assert raised.value.reason == "missing_version"
    assert await counter.entries() == []


async def test_a_pipeline_is_sent_while_the_one_before_is_still_unanswered(counter: Counter) -> None:
    await counter.producer.publish(sale("first"), tenant=counter.tenant)
    before = counter.proxy.requests
    await counter.redis.execute("CLIENT", "PAUSE", 60_000, "WRITE")
    try:
        first = asyncio.create_task(counter.producer.publish(sale("s1"), tenant=counter.tenant))
        await until(lambda: counter.proxy.requests == before + 1, every=0.002)
        second = asyncio.create_task(counter.producer.publish(sale("s2"), tenant=counter.tenant))
        await until(lambda: counter.proxy.requests == before + 2, every=0.002)
    finally:
        await counter.redis.execute("CLIENT", "UNPAUSE")

    assert [(await first).outcome, (await second).outcome] == ["ok", "ok"]
    keys = [(entry.fields or {})[b"key"] for entry in await counter.entries()]
    assert keys == [b"first", b"s1", b"s2"]


async def test_a_call_given_up_before_it_was_sent_says_nothing(counter: Counter) -> None:
    await counter.producer.publish(sale("first"), tenant=counter.tenant)
    impatient = asyncio.create_task(counter.producer.publish(sale("given up"), tenant=counter.tenant))
    patient = asyncio.create_task(counter.producer.publish(sale("s2"), tenant=counter.tenant))
    await asyncio.sleep(0)  # both have asked, nothing has gone out
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)

    assert (await patient).outcome == "ok"
    assert len(await counter.entries()) == 2


async def test_to_close_is_to_finish_what_was_said(counter: Counter) -> None:
    counter.proxy.delay(0.02)
    said = [asyncio.create_task(counter.producer.publish(sale(f"s{n}"), tenant="t")) for n in range(50)]
    await asyncio.sleep(0)

    await counter.producer.close()

    assert {one.result().outcome for one in said} == {"ok"}
    assert len(await counter.entries()) == 50


async def test_callers_wait_in_their_order_while_there_is_no_room(counter: Counter) -> None:
    """What waits is bounded in bytes, however long Redis is silent."""
    behind = Broker(counter.proxy.url, timeout=30.0)
    appender = Appender(behind, room=5_000)
    await appender.append([(counter.prefix + "sales", {b"key": b"first"})])
    counter.proxy.black_hole()
    rows = [{b"key": b"%03d" % number, b"data": b"x" * 1_000} for number in range(60)]

    asked = [asyncio.create_task(appender.append([(counter.prefix + "sales", row)])) for row in rows]
    await until(lambda: appender.waiting > 3_000)
    full = appender.waiting
    asked[20].cancel()
    await counter.proxy.heal()
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert full <= 5_000
    assert isinstance(answers[20], asyncio.CancelledError)
    keys = [(entry.fields or {})[b"key"] for entry in await counter.entries()]
    assert keys == [b"first", *(row[b"key"] for row in rows if row is not rows[20])]
    assert appender.waiting == 0
    await appender.close()
    await behind.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300_000, "oversize"),
        ("a\x00b", "nul"),
        ("\ud800", "surrogate"),
    ],
)
async def test_an_event_that_nobody_could_store_is_refused_to_its_producer(
    counter: Counter, name: str, reason: str
) -> None:
    good = controls.GoodChanged(good_id="g1", name=name)

    with pytest.raises(EventError) as raised:
        await counter.producer.publish(good, tenant=counter.tenant, version=1)

    assert raised.value.reason == reason
    assert await counter.entries("shelf:goods") == []


async def test_a_state_without_a_version_is_refused(counter: Counter) -> None:
    with pytest.raises(EventError) as raised:
        await counter.producer.publish(controls.GoodChanged(good_id="g1", name="tea"), tenant=counter.tenant)

    assert raised.value.reason == "missing_version"


async def test_tenants_that_said_nothing_for_long_are_forgotten(shop: Shop) -> None:
    enablement = Enablement(shop.source, controls.ENABLEMENT, ttl=0.0)
    await enablement([str(uuid.UUID(int=number)) for number in range(MOST_KNOWN + 1)])
    before = len(enablement._known)

    await shop.enable()
    found = await enablement([shop.tenant])

    assert found == {shop.tenant: {"shelf"}}
    assert before == MOST_KNOWN + 1
    assert len(enablement._known) == 1
