"""Publishing without a database: pipelines are shared, and every outcome is the truth."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio

from headwater.broker import Broker, Entry
from headwater.errors import EventError
from headwater.publish import DirectProducer, Outgoing
from headwater.testing import FaultProxy, RunningServers, controls, until


@dataclass
class Counter:
    """A producer behind a proxy, and a broker that sees what really happened."""

    producer: DirectProducer
    proxy: FaultProxy
    redis: Broker
    prefix: str
    enabled: set[str]
    tenant: str

    async def entries(self, name: str = "sales") -> list[Entry]:
        return await self.redis.range(self.prefix + name, count=1000)


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
