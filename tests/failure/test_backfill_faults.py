"""A backfill while its runners, servers and consumers fail: late at worst, never wrong, never early."""

from __future__ import annotations

import asyncio
import signal
from random import Random

import msgspec

from headwater.broker import Broker, provision
from headwater.database import Database
from headwater.replay import Job, Runner
from headwater.replay.jobs import Jobs
from headwater.testing import FaultProxy, controls, until
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS
from tests.engine.test_backfill import (
    GROUP,
    asked,
    became,
    ended,
    runner,
    said,
    sleeper,
    stocked,
)
from tests.failure.children import Children

LEASE = 0.8


async def trail(shop: Shop, job: Job) -> list[tuple[str, str]]:
    return [(one["actor"], one["what"]) for one in await Jobs(shop.source).events(job.id)]


async def test_a_runner_that_stood_still_past_its_lease_appends_and_writes_nothing_more(
    shop: Shop, children: Children
) -> None:
    goods = await stocked(shop, 30)
    shop.start(shop.worker())
    children.settings = {"SHOP_LEASE": str(LEASE)}
    job = await asked(shop)
    zombie = await children.start("runner", "backfill.appending=3:stop", name="zombie")

    async def stands_still() -> bool:
        return await said(shop) == 10 and bool(
            await shop.source.fetchval("SELECT lease_until < clock_timestamp() FROM headwater.job")
        )

    await until(stands_still)
    heir = shop.start(runner(shop, chunk=10, window=10, lease=LEASE))
    job = await ended(shop, job)
    once = await said(shop)
    assert (job.state, job.token) == ("verified", 2)
    assert 30 <= once <= 30 + 5  # what the zombie had appended and not written down yet is said again
    before = await trail(shop, job)
    await shop.stop(heir)

    zombie.send_signal(signal.SIGCONT)
    second = await ended(shop, await asked(shop))  # it takes this one, so it is past what it held

    assert second.state == "verified"
    assert ("zombie", "verified") in await trail(shop, second)
    assert await said(shop) == once + 30
    assert (await Jobs(shop.source).get(job.id), await trail(shop, job)) == (job, before)
    assert await shop.goods() == goods


async def test_two_runners_that_are_killed_again_and_again_say_everything_of_every_tenant(
    shop: Shop, children: Children
) -> None:
    chance = Random(4)
    children.settings = {"SHOP_LEASE": str(LEASE)}
    goods, jobs = {}, []
    for _ in range(4):
        shop.tenant = shop.tenant[:-4] + f"{chance.randrange(1 << 16):04x}"
        goods[shop.tenant] = await stocked(shop, 30)
        jobs.append(await asked(shop))
    shop.start(shop.worker())
    runners = [await children.start("runner", name=f"r{number}") for number in range(2)]
    for number in range(4):
        before = await said(shop)
        await until(lambda before=before: moved(shop, before))
        victim = number % 2
        runners[victim].kill()
        await runners[victim].wait()
        runners[victim] = await children.start("runner", name=f"r{victim}-{number}")

    for job in jobs:
        done = await ended(shop, job)
        assert (done.state, done.parts[0].published) == ("verified", 30)
        shop.tenant = done.tenant
        assert await shop.goods() == goods[done.tenant]
    tokens = await shop.source.fetchval("SELECT sum(token) FROM headwater.job")
    assert tokens > len(jobs)  # somebody was taken over from


async def moved(shop: Shop, before: int) -> bool:
    """Whether a job went on, or none is left that could."""
    left = await shop.source.fetchval("SELECT count(*) FROM headwater.job WHERE finished_at IS NULL")
    return await said(shop) > before or not left


async def test_a_source_that_goes_away_in_the_middle_costs_nothing_but_time(shop: Shop) -> None:
    goods = await stocked(shop, 40)
    await sleeper(shop)
    async with FaultProxy.before(shop.source.url) as proxy:
        source = await Database.open(proxy.url)
        own = shop.start(Runner(ways_of(shop, source), holder="r"))
        job = await asked(shop)
        await until(lambda: is_said(shop, 10))

        await proxy.refuse()
        shop.start(shop.worker())
        await shop.broker.execute("XGROUP", "DELCONSUMER", shop.key(GOODS), GROUP, "sleeper")
        await until(lambda: nothing_unread(shop))
        assert (await became(shop, job, "running")).parts[0].published < 40
        await proxy.heal()

        assert (await ended(shop, job)).state == "verified"
        assert await shop.goods() == goods
        await shop.stop(own)
        await source.close()


async def is_said(shop: Shop, count: int) -> bool:
    return await said(shop) == count


async def nothing_unread(shop: Shop) -> bool:
    (state,) = await shop.broker.groups(shop.key(GOODS))
    return state.lag == 0


def ways_of(shop: Shop, source: Database) -> object:
    return msgspec.structs.replace(shop.ways(), source=source, chunk=10, window=10, lease=LEASE)


async def test_a_redis_that_loses_everything_at_half_is_filled_again(shop: Shop) -> None:
    goods = await stocked(shop, 40)
    await sleeper(shop)
    shop.start(runner(shop, chunk=20, window=20))
    job = await asked(shop)
    await until(lambda: is_said(shop, 20))

    keys = await shop.broker.execute("KEYS", shop.catalogue.keys.prefix + "*")
    await shop.broker.execute("DEL", *keys)
    await became(shop, job, "catching_up")
    assert await said(shop) == 20
    assert await shop.goods() == {}
    shop.start(shop.worker())

    assert (await ended(shop, job)).state == "verified"
    assert await shop.goods() == goods
    assert "repair" in [what for _, what in await trail(shop, job)]


async def test_while_no_worker_lives_a_job_waits_and_nobody_is_told_that_both_agree(shop: Shop) -> None:
    goods = await stocked(shop, 30)
    await shop.enable()
    shop.start(runner(shop, chunk=10, window=10))
    job = await asked(shop)
    await became(shop, job, "catching_up")

    status = await shop.history().status(shop.tenant, "shelf")
    assert (status.state, status.needed) == ("differs", True)
    assert "no consumer is running" in status.reason
    (progress,) = (await shop.history().standing(await became(shop, job, "catching_up"))).subjects
    assert (progress.published, progress.delivered, progress.applied) == (30, 0, 0)
    shop.start(shop.worker())

    assert (await ended(shop, job)).state == "verified"
    assert await shop.goods() == goods


async def test_what_changed_and_went_while_the_application_was_away_is_right_when_it_is_back(
    shop: Shop,
) -> None:
    goods = await stocked(shop, 50)
    shop.start(shop.relay())
    shop.start(shop.worker())
    shop.start(runner(shop))
    assert (await ended(shop, await asked(shop))).state == "verified"
    keys = sorted(goods)
    for key in keys[:5]:
        await shop.remove(key)
        del goods[key]
    for key in keys[5:10]:
        await shop.put("changed", key)
        goods[key] = "changed"
    assert len(await shop.goods()) == 50

    assert (await ended(shop, await asked(shop))).state == "verified"

    assert await shop.goods() == goods


async def test_rows_that_left_the_scope_leave_the_application_once_the_source_confirmed_it(
    shop: Shop,
) -> None:
    goods = await stocked(shop, 20)
    scoped = msgspec.structs.replace(controls.BACKFILL, scope=controls.SCOPE + " AND price < 100")
    shop.start(shop.worker())
    shop.start(runner(shop, backfills=(scoped,)))
    assert (await ended(shop, await asked(shop))).state == "verified"
    gone = sorted(goods)[:4]
    await shop.source.execute("UPDATE goods SET price = 100 WHERE good_id::text = ANY ($1)", gone)
    await shop.source.execute("UPDATE goods SET price = 99 WHERE good_id::text = $1", sorted(goods)[4])

    job = await ended(shop, await asked(shop))

    assert job.state == "verified"
    assert await shop.goods() == {key: name for key, name in goods.items() if key not in gone}
    repairs = [one["detail"] for one in await Jobs(shop.source).events(job.id) if one["what"] == "repair"]
    assert repairs == ["goods: 4 orphan"]
    await shop.source.execute("UPDATE goods SET price = 1")  # and back again
    assert (await ended(shop, await asked(shop))).state == "verified"
    assert await shop.goods() == goods


async def test_what_another_group_has_not_read_or_acknowledged_outlives_a_backfill(shop: Shop) -> None:
    key = shop.key(GOODS)
    await provision.apply(shop.broker, shop.catalogue)
    await shop.broker.create_group(key, "foreign")
    foreign = Broker(shop.redis_url)  # the shop's own blocks in its worker's reads
    shop.start(shop.relay())
    await shop.enable()
    live = {await shop.put(f"live {number}"): f"live {number}" for number in range(20)}
    await until(lambda: is_said(shop, 20))
    held = await foreign.read("foreign", "slow", [key], count=10, block=0.01)
    goods = {**live, **await stocked(shop, 300)}
    shop.start(shop.worker())
    shop.start(runner(shop))

    assert (await ended(shop, await asked(shop))).state == "verified"

    assert len(await shop.goods()) == len(goods)
    bodies = await shop.broker.bodies(key, [one.id for one in held])
    assert [one.fields for one in bodies] == [one.fields for one in held]
    rest = await foreign.read("foreign", "slow", [key], count=1000, block=0.01)
    assert len(rest) == 10 + len(goods)
    assert [(one.fields or {}).get(b"hist") for one in rest] == [b"0"] * 10 + [b"1"] * len(goods)
    await foreign.close()


async def test_live_changes_of_the_rows_that_are_said_are_never_overwritten(shop: Shop) -> None:
    goods = await stocked(shop, 60)
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    job = await asked(shop)
    shop.start(runner(shop, chunk=5, window=5))
    chance, going = Random(7), True

    async def change() -> None:
        while going:
            key = chance.choice(sorted(goods))
            if chance.random() < 0.2 and len(goods) > 20:  # on a slow machine it goes on for long
                await shop.remove(key)
                goods.pop(key)
            else:
                goods[key] = f"live {chance.random()}"
                await shop.put(goods[key], key)

    changing = asyncio.create_task(change())
    done = await ended(shop, job)
    going = False
    await changing

    async def equal() -> bool:
        return await shop.goods() == goods

    await until(equal)
    assert done.state == "verified"
