"""Consumer names: the smallest free slot, one holder at a time, and none left behind."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from headwater.broker import hygiene
from headwater.broker.client import RELEASED
from headwater.database import Database
from headwater.delivery import Pace
from headwater.delivery.halving import TablesUnfit
from headwater.delivery.names import Lease, NameHeld, NameTaken, held, silence
from headwater.delivery.reaping import Place, prune, remove, unused
from headwater.errors import SettingsError
from headwater.testing import FaultProxy, RunningServers, until
from tests.engine.conftest import Shop
from tests.engine.entries import SALES, applied, gaps, put, sale, started, take

APP = "shelf"


def lease(shop: Shop, **how: object) -> Lease:
    return Lease(shop.sink, APP, **how)  # type: ignore[arg-type]


def place(shop: Shop) -> Place:
    return Place(shop.broker, shop.sink, APP, "shelf-group", tuple(shop.catalogue.keys_of(APP)))


async def names(shop: Shop) -> set[str]:
    """Every consumer name that Redis knows of the group."""
    known = await hygiene.consumers(shop.broker, shop.catalogue.keys_of(APP), "shelf-group")
    return {one.name for some in known.values() for one in some}


async def test_many_at_once_get_the_smallest_slots_each_its_own(shop: Shop) -> None:
    leases = [lease(shop) for _ in range(12)]

    taken = await asyncio.gather(*(one.take() for one in leases))

    assert sorted(taken, key=lambda name: int(name.rpartition("-")[2])) == [
        f"shelf-{slot}" for slot in range(1, 13)
    ]
    await leases[taken.index("shelf-3")].free()
    assert await lease(shop).take() == "shelf-3"
    assert await lease(shop).take() == "shelf-13"


async def test_a_name_that_was_asked_for_is_waited_for_and_then_refused(shop: Shop) -> None:
    first, second = lease(shop, wanted="till-desk"), lease(shop, wanted="till-desk", seconds=0.2)
    assert await first.take() == "till-desk"

    with pytest.raises(NameHeld, match="till-desk"):
        await second.take()

    async def refused() -> bool:
        try:
            await second.take()
        except NameHeld:
            return False
        except NameTaken:
            return True
        raise AssertionError("two hold one name")

    await until(refused)
    await first.free()
    assert await second.take() == "till-desk"


async def test_a_slot_passes_over_names_that_were_asked_for(shop: Shop) -> None:
    await lease(shop, wanted="shelf-1").take()

    assert await lease(shop).take() == "shelf-2"


async def test_a_lease_that_ran_out_goes_to_the_next_and_its_holder_hears_of_it(shop: Shop) -> None:
    paused, other = lease(shop, seconds=0.1), lease(shop)
    assert await paused.take() == "shelf-1"

    async def free() -> bool:
        return await held(shop.sink, APP) == set()

    await until(free)
    assert await other.take() == "shelf-1"
    with pytest.raises(NameTaken, match="shelf-1"):
        await paused.keep(asyncio.Event(), drain=1.0)
    await paused.free()
    assert await held(shop.sink, APP) == {"shelf-1"}


async def test_a_lease_that_ran_out_is_still_ours_when_nobody_took_it(shop: Shop) -> None:
    ours = lease(shop, seconds=0.1)
    await ours.take()

    async def free() -> bool:
        return await held(shop.sink, APP) == set()

    await until(free)
    await ours.renew(60.0)

    assert await lease(shop).take() == "shelf-2"


async def test_a_lease_outlives_an_outage_of_its_database(shop: Shop) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        behind = await Database.open(proxy.url)
        ours, stopping = Lease(behind, APP, seconds=0.6), asyncio.Event()
        await ours.take()
        keeping = asyncio.create_task(ours.keep(stopping, drain=1.0))
        await proxy.refuse()

        async def ran_out() -> bool:
            return await held(shop.sink, APP) == set()

        await until(ran_out)
        await proxy.heal()

        async def has_it_again() -> bool:
            return await held(shop.sink, APP) == {"shelf-1"}

        await until(has_it_again)
        stopping.set()
        await keeping
        await behind.close()


async def test_a_name_of_our_own_can_not_be_taken(shop: Shop) -> None:
    with pytest.raises(SettingsError, match=RELEASED):
        lease(shop, wanted=RELEASED)


async def test_without_the_tables_the_remedy_is_named(servers: RunningServers) -> None:
    async with servers.fresh_database() as url:
        bare = await Database.open(url)

        with pytest.raises(TablesUnfit, match="lacks headwater's tables"):
            await Lease(bare, APP).take()
        await bare.close()


async def test_an_application_is_heard_of_while_a_name_is_renewed(shop: Shop) -> None:
    assert await silence(shop.sink, APP) is None

    await lease(shop).take()

    silent = await silence(shop.sink, APP)
    assert silent is not None
    assert 0 <= silent < 30


async def test_workers_call_themselves_by_slots_and_give_them_back(shop: Shop) -> None:
    first = await started(shop, shop.worker(name="", lease=lease(shop)))
    second = await started(shop, shop.worker(name="", lease=lease(shop)))
    assert [first.name, second.name] == ["shelf-1", "shelf-2"]
    await put(shop, *(sale(shop, f"s{number}") for number in range(20)))
    await applied(shop, *(f"s{number}" for number in range(20)))

    await shop.stop(first)
    again = await started(shop, shop.worker(name="", lease=lease(shop)))

    assert again.name == "shelf-1"
    assert await names(shop) <= {"shelf-1", "shelf-2", RELEASED}
    rows = await shop.sink.fetch("SELECT DISTINCT consumer FROM headwater.position")
    assert {row["consumer"].rpartition("/")[0] for row in rows} <= {"shelf-1", "shelf-2"}


async def test_a_second_worker_of_one_name_waits_for_the_first_to_end(shop: Shop) -> None:
    first = await started(shop, shop.worker(name="desk", lease=lease(shop, wanted="desk")))
    second = shop.start(shop.worker(name="desk", lease=lease(shop, wanted="desk")))
    await until(lambda: "under the name 'desk'" in second.last_error)
    assert not second.ready

    await shop.stop(first)

    await until(lambda: second.ready)


async def test_a_worker_whose_name_went_to_another_ends_and_leaves_it_to_that_one(shop: Shop) -> None:
    worker = shop.worker(name="", lease=lease(shop, seconds=0.3))
    running = asyncio.create_task(worker.run())
    await until(lambda: worker.ready)

    taken = await shop.sink.fetchrow(
        "UPDATE headwater.worker_name SET token = $1 RETURNING token, lease_until", uuid.uuid4()
    )

    with pytest.raises(NameTaken, match="gave no sign of life"):
        await asyncio.wait_for(running, 20)
    assert await shop.sink.fetchrow("SELECT token, lease_until FROM headwater.worker_name") == taken


async def test_a_restarted_worker_takes_up_what_stands_under_its_slot_at_once(shop: Shop) -> None:
    await put(shop, sale(shop, "s1"))
    await take(shop, "shelf-1")
    patient = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0)  # takes nothing over from others

    await started(shop, shop.worker(name="", lease=lease(shop), pace=patient))

    await applied(shop, "s1")


async def registered(shop: Shop, *new: str) -> None:
    for key in shop.catalogue.keys_of(APP):
        await shop.broker.create_group(key, "shelf-group")
        for name in new:
            await shop.broker.execute("XGROUP", "CREATECONSUMER", key, "shelf-group", name)


async def test_only_unused_names_that_hold_nothing_go_and_a_look_changes_nothing(shop: Shop) -> None:
    await registered(shop, "pod-a", "pod-b", RELEASED)
    live = lease(shop)
    await registered(shop, await live.take())
    await put(shop, sale(shop, "s1"))
    await take(shop, "pod-b")

    looked = await unused(place(shop), silent=0.0)
    before = await names(shop)
    pruned = await prune(place(shop), silent=0.0)

    assert [(one.name, one.pending, one.removed) for one in looked] == [
        ("pod-a", 0, True),
        ("pod-b", 1, False),
    ]
    assert before == {"pod-a", "pod-b", "shelf-1", RELEASED}
    assert [(one.name, one.removed) for one in pruned] == [("pod-a", True), ("pod-b", False)]
    assert await names(shop) == {"pod-b", "shelf-1", RELEASED}
    assert await shop.pending() == 1
    assert await unused(place(shop), silent=3600.0) == []


async def test_positions_of_unused_names_go_except_the_furthest(shop: Shop) -> None:
    await registered(shop, "pod-a")
    rows = [
        ("pod-a/0", "9-0"),
        ("gone/0", "5-0"),
        ("gone/1", "10-2"),
        ("gone/side", "10-1"),
        ("shelf-1/0", "1-0"),
    ]
    for consumer, entry in rows:
        await shop.sink.execute(
            "INSERT INTO headwater.position VALUES ($1, 's', $2, $3, now() - interval '1 hour')",
            *(APP, consumer, entry),
        )
    await lease(shop).take()

    await prune(place(shop))

    left = await shop.sink.fetch("SELECT consumer FROM headwater.position ORDER BY consumer")
    assert [row["consumer"] for row in left] == ["gone/1", "pod-a/0", "shelf-1/0"]


async def test_names_nobody_holds_any_more_are_forgotten_in_the_database_too(shop: Shop) -> None:
    gone, kept = lease(shop, wanted="pod-7f9c"), lease(shop)
    await gone.take()
    await kept.take()
    await gone.free()

    await prune(place(shop))

    rows = await shop.sink.fetch("SELECT name FROM headwater.worker_name")
    assert [row["name"] for row in rows] == ["shelf-1"]


async def test_what_a_name_is_given_while_it_goes_is_pending_again(shop: Shop) -> None:
    """The race that no check before the removal can close: the name is read with in between."""
    await registered(shop, "zombie")
    await put(shop, sale(shop, "s1"), sale(shop, "s2"))
    first, second = await take(shop, "zombie")
    await shop.broker.execute("XDEL", shop.key(SALES), second)

    done = await hygiene.remove(shop.broker, shop.key(SALES), "shelf-group", "zombie")

    assert (done.put_back, done.lost, done.unknown) == ((first,), (second,), 0)
    assert await shop.pending() == 1
    assert await hygiene.remove(shop.broker, shop.key(SALES), "shelf-group", "zombie") == hygiene.Removed(
        (), (), 0
    )
    await started(shop, shop.worker())
    await applied(shop, "s1")


async def test_what_is_lost_with_a_name_is_a_gap(shop: Shop) -> None:
    await registered(shop, "zombie")
    found = place(shop)
    real = await unused(found, silent=0.0)
    await put(shop, sale(shop, "s1"))
    (entry,) = await take(shop, "zombie")
    await shop.broker.execute("XDEL", shop.key(SALES), entry)

    removed = await remove(found, real[0])

    assert (removed.put_back, removed.lost) == (0, 1)
    assert await gaps(shop) == [("deleted_while_pending", entry)]


async def test_a_name_that_is_taken_up_again_does_not_go(shop: Shop) -> None:
    await registered(shop, "desk")
    looked = await unused(place(shop), silent=0.0)
    await lease(shop, wanted="desk").take()

    assert [(await remove(place(shop), one)).removed for one in looked] == [False]
    assert "desk" in await names(shop)


async def test_a_worker_waits_for_the_table_of_names(shop: Shop) -> None:
    await shop.sink.execute("ALTER TABLE headwater.worker_name RENAME TO hidden")
    worker = shop.start(shop.worker(name="", lease=lease(shop)))
    await until(lambda: "lacks headwater's tables" in worker.last_error)
    assert not worker.ready

    await shop.sink.execute("ALTER TABLE headwater.hidden RENAME TO worker_name")

    await until(lambda: worker.ready)


async def test_a_sweep_that_fails_ends_no_worker_and_the_next_one_removes_the_name(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("headwater.delivery.reaping.EVERY", 0.05)
    monkeypatch.setattr("headwater.delivery.reaping.SILENT", 0.0)
    await shop.sink.execute("ALTER TABLE headwater.position RENAME TO hidden")
    await registered(shop, "pod-a")
    await started(shop, shop.worker(name="", lease=lease(shop)))
    await until(lambda: "worker.sweep_failed" in caplog.text)

    await shop.sink.execute("ALTER TABLE headwater.hidden RENAME TO position")
    await registered(shop, "pod-b")

    async def swept() -> bool:
        return await names(shop) <= {"shelf-1", RELEASED}

    await until(swept)
    await put(shop, sale(shop, "s1"))
    await applied(shop, "s1")
