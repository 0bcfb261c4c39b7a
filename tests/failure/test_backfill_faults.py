"""A backfill while its runners, servers and consumers fail: late at worst, never wrong, never early."""

from __future__ import annotations

import asyncio
import signal
from random import Random

import msgspec

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
from tests.failure.claims import watched

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


async def test_what_went_and_changed_while_the_application_was_disabled_is_right_when_it_is_enabled_again(
    shop: Shop,
) -> None:
    goods = await stocked(shop, 200)
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    shop.start(runner(shop))
    assert (await ended(shop, await asked(shop))).state == "verified"
    await shop.source.execute("DELETE FROM enabled")
    keys = sorted(goods)
    for key in keys[:10]:
        await shop.remove(key)
    await shop.source.execute("DELETE FROM goods WHERE good_id::text = ANY ($1)", keys[10:20])  # nothing said
    await shop.source.execute("DELETE FROM headwater.tombstone WHERE key = ANY ($1)", keys[5:15])  # long ago
    for key in keys[20:30]:
        await shop.put("changed", key)
    await shop.source.execute("UPDATE goods SET name = 'changed' WHERE good_id::text = ANY ($1)", keys[30:40])
    wanted = {key: "changed" if key in keys[20:40] else goods[key] for key in keys[20:]}
    assert await shop.goods() == goods
    assert (await shop.history().status(shop.tenant, "shelf")).state != "clean"

    async def right() -> bool:
        return await shop.goods() == wanted

    await shop.enable()
    job = await asked(shop)
    async with watched(shop, right) as claims:
        job = await ended(shop, job)
        assert (job.state, await shop.goods()) == ("verified", wanted)
    assert (claims.early, bool(claims.agreed)) == ([], True)
    repairs = [one["detail"] for one in await Jobs(shop.source).events(job.id) if one["what"] == "repair"]
    assert repairs == ["goods: 10 orphan"]
    entries = await shop.broker.range(shop.key(GOODS), count=1000)
    said_gone = [one.fields or {} for one in entries if (one.fields or {})[b"op"] == b"d"]
    assert sorted(one[b"key"].decode() for one in said_gone) == keys[:20]


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
