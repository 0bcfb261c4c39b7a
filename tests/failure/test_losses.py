"""What is lost is recorded, with how much and since when; what is not lost is not; and it comes back."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from headwater.broker import Broker, provision
from headwater.broker.repairs import Missing, Repaired
from headwater.clock import monotonic
from headwater.database import Database, Tx, connect
from headwater.database.migrate import APP, migrate
from headwater.delivery import Context, Worker
from headwater.delivery import gaps as kept
from headwater.delivery.gaps import Gap
from headwater.testing import RunningServers, controls, until
from headwater.testing.controls import GoodSold
from headwater.topology import Catalogue, Group, Stream
from tests.engine.again import again, forget, gaps, looked, mending, moved
from tests.engine.conftest import LIMITS, QUICK, Shop
from tests.engine.entries import SALES, applied, put, sale, settled, sold_by, started, take
from tests.failure.children import Children

MANY = Catalogue(
    [Stream(name="sales", events=(GoodSold,), partitions=50)],
    [Group(app="shelf", name="shelf-group", streams=("sales",))],
)


async def write(tx: Tx, event: GoodSold, context: Context) -> None:
    await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)


async def recorded(shop: Shop, kind: str) -> list[tuple[str, int, str]]:
    """(entry, entries, state) of each gap of a kind."""
    rows = await shop.sink.fetch(
        "SELECT entry, entries, state FROM headwater.gap WHERE kind = $1 ORDER BY id", kind
    )
    return [(row["entry"], row["entries"], row["state"]) for row in rows]


async def states(sink: Database) -> dict[str, str]:
    """State by kind of the last gap of each."""
    rows = await sink.fetch("SELECT kind, state FROM headwater.gap ORDER BY id")
    return {row["kind"]: row["state"] for row in rows}


async def test_what_is_trimmed_before_a_worker_reads_it_is_counted_exactly_and_once(shop: Shop) -> None:
    first = await started(shop, shop.worker())
    await put(shop, *(sale(shop, f"s{n}") for n in range(5)))
    await applied(shop, *(f"s{n}" for n in range(5)))
    looked = await beat(shop)
    await until(lambda: _looked(shop, looked + 2))
    await shop.stop(first)
    await put(shop, *(sale(shop, f"t{n}") for n in range(10)))
    await shop.broker.execute("XTRIM", shop.key(SALES), "MAXLEN", "=", 4)

    await started(shop, shop.worker())

    await applied(shop, *(f"s{n}" for n in range(5)), *(f"t{n}" for n in range(6, 10)))
    assert await recorded(shop, "trimmed_unread") == [("", 6, "open")]
    await shop.broker.execute("XTRIM", shop.key(SALES), "MAXLEN", "=", 1)
    looked = await beat(shop)
    await until(lambda: _looked(shop, looked + 2))
    assert await recorded(shop, "trimmed_unread") == [("", 6, "open")]
    row = await shop.sink.fetchrow("SELECT since FROM headwater.gap")
    assert row is not None
    assert row["since"] != "0-0"


async def beat(shop: Shop) -> int:
    return int(await shop.sink.fetchval("SELECT coalesce(max(beat), 0) FROM headwater.beat"))


async def _looked(shop: Shop, count: int) -> bool:
    return await beat(shop) >= count


async def test_deleting_what_was_read_already_is_no_loss(shop: Shop) -> None:
    await started(shop, shop.worker())
    ids = await put(shop, *(sale(shop, f"s{n}") for n in range(5)))
    await applied(shop, *(f"s{n}" for n in range(5)))

    await shop.broker.execute("XDEL", shop.key(SALES), *ids[:3])
    await put(shop, sale(shop, "t"))
    await applied(shop, *(f"s{n}" for n in range(5)), "t")

    looked = await beat(shop)
    await until(lambda: _looked(shop, looked + 2))
    assert await states(shop.sink) == {}


async def test_an_entry_deleted_while_a_worker_has_it_is_a_gap_only_until_it_is_settled(shop: Shop) -> None:
    held, go = asyncio.Event(), asyncio.Event()

    async def wait(event: GoodSold, tx: Tx, context: Context) -> None:
        held.set()
        await go.wait()
        await write(tx, event, context)

    broker = Broker(shop.redis_url)
    slow = await started(shop, shop.worker(sold_by(wait), name="slow", broker=broker))
    await started(shop, shop.worker(sold_by(wait), name="other"))
    (entry,) = await put(shop, sale(shop, "s1"))
    await held.wait()
    await shop.broker.execute("XDEL", shop.key(SALES), entry)

    async def state(expected: str) -> bool:
        return await recorded(shop, "deleted_while_pending") == [(entry, 1, expected)]

    await until(lambda: state("open"))
    go.set()
    await until(lambda: state("closed"))
    assert await shop.sales() == ["s1"]
    await shop.stop(slow)
    await broker.close()


async def test_an_entry_deleted_while_nobody_has_it_is_recorded(shop: Shop) -> None:
    (entry,) = await put(shop, sale(shop, "s1"))
    await take(shop, "gone")
    await shop.broker.give_back("shelf-group", "gone", shop.key(SALES), idle=60.0)
    await shop.broker.execute("XDEL", shop.key(SALES), entry)

    await started(shop, shop.worker())

    async def found() -> bool:
        return await recorded(shop, "deleted_while_pending") == [(entry, 1, "open")]

    await until(found)


async def test_a_stream_that_was_made_again_by_others_is_another_stream(shop: Shop) -> None:
    await started(shop, shop.worker())
    await put(shop, *(sale(shop, f"s{n}") for n in range(5)))
    await applied(shop, *(f"s{n}" for n in range(5)))
    looked = await beat(shop)
    await until(lambda: _looked(shop, looked + 2))
    key = shop.key(SALES)
    new = [word for name, value in sale(shop, "new").items() for word in (name, value)]

    # As when Redis comes back from an older copy: stream and group are there, and have less.
    commands: list[Any] = [("MULTI",), ("DEL", key), ("XADD", key, "*", *new)]
    commands += [("XGROUP", "CREATE", key, "shelf-group", "0"), ("EXEC",)]
    await shop.broker.ask(commands)

    await applied(shop, *(f"s{n}" for n in range(5)), "new")

    async def noticed() -> bool:
        return "stream_regressed" in await states(shop.sink)

    await until(noticed)


async def test_a_redis_that_forgot_is_noticed_even_when_its_streams_have_grown_past_the_old(
    shop: Shop,
) -> None:
    await started(shop, shop.worker())
    await put(shop, sale(shop, "s1"))
    await applied(shop, "s1")
    looked = await beat(shop)
    await until(lambda: _looked(shop, looked + 2))

    async def noticed() -> bool:
        # Again and again: between a look and what Redis is told of it, nothing would be forgotten.
        await shop.broker.execute("DEL", shop.catalogue.keys.beats)
        return (await states(shop.sink)).get("stream_regressed") == "open"

    await until(noticed)


async def test_an_application_restored_from_a_backup_reads_again_what_the_backup_lacks(
    shop: Shop, servers: RunningServers
) -> None:
    async with servers.fresh_database() as url:
        await migrate(url, [APP])
        connection = await connect(url)
        await connection.execute(controls.SINK_TABLES)
        await connection.close()
        await until_applied(shop, url, "before")
        async with servers.fresh_database(url.rpartition("/")[2]) as backup:
            await until_applied(shop, url, "after", "later")

            sink = await Database.open(backup)
            worker = shop.start(shop.worker(sink=sink))

            async def brought_back() -> bool:
                return await sales_of(sink) == ["after", "before", "later"]

            await until(brought_back)

            async def closed() -> bool:
                return await states(sink) == {"sink_changed": "closed"}

            await until(closed)
            assert await sink.fetchval("SELECT count(DISTINCT repair) FROM headwater.gap") == 1
            await shop.stop(worker)
            await sink.close()


async def sales_of(sink: Database) -> list[str]:
    return [row["sale_id"] for row in await sink.fetch("SELECT sale_id FROM sales ORDER BY sale_id")]


async def until_applied(shop: Shop, url: str, *names: str) -> None:
    """A worker on the database at `url` applies these sales, looks once more, and ends."""
    sink = await Database.open(url)
    worker = await started(shop, shop.worker(sink=sink))
    await put(shop, *(sale(shop, name) for name in names))

    async def done() -> bool:
        return set(names) <= set(await sales_of(sink)) and await settled(shop)

    await until(done)
    looks = int(await sink.fetchval("SELECT beat FROM headwater.beat"))

    async def looked() -> bool:
        return int(await sink.fetchval("SELECT beat FROM headwater.beat")) >= looks + 2

    await until(looked)
    await shop.stop(worker)
    await sink.close()


def many(shop: Shop, broker: Broker) -> Worker:
    """A worker of fifty streams."""
    catalogue = MANY.with_prefix(shop.catalogue.keys.prefix + "many:")

    async def handle(event: GoodSold, tx: Tx, context: Context) -> None:
        await write(tx, event, context)

    return Worker(
        sold_by(handle), broker, shop.sink, controls.CODEC, catalogue, name="w", pace=QUICK, limits=LIMITS
    )


async def errors(broker: Broker, kind: str) -> int:
    found = (await broker.execute("INFO", "errorstats")).decode()
    counted = re.search(rf"errorstat_{kind}:count=(\d+)", found)
    return int(counted[1]) if counted else 0


async def test_fifty_streams_that_vanish_again_and_again_make_few_errors(shop: Shop) -> None:
    worker = await started(shop, many(shop, shop.broker))
    before, since = await errors(shop.broker, "NOGROUP"), monotonic()

    async def vanish() -> bool:
        await shop.broker.execute("DEL", *worker.streams)
        return monotonic() > since + 3.0

    await until(vanish)

    seconds = monotonic() - since
    made = await errors(shop.broker, "NOGROUP") - before
    assert 0 < made <= 5 * len(worker.streams) * seconds

    async def goes_on() -> bool:
        await shop.broker.append([(worker.streams[7], sale(shop, "s1"))])
        return await shop.sales() == ["s1"]

    await until(goes_on)


@pytest.mark.parametrize("unfit", [1, 50])
async def test_a_stream_that_redis_refuses_stops_no_other_and_is_taken_up_again(
    shop: Shop, unfit: int
) -> None:
    worker = await started(shop, many(shop, shop.broker))
    bad, good = worker.streams[:unfit], worker.streams[unfit:]
    await shop.broker.execute("DEL", *bad)
    await shop.broker.pipeline([("SET", one, "not a stream") for one in bad])
    await until(lambda: set(worker.unfit) == set(bad))
    assert not worker.ready
    for number, stream in enumerate(good):
        await shop.broker.append([(stream, sale(shop, f"s{number:02}"))])

    async def others() -> bool:
        return await shop.sales() == [f"s{number:02}" for number in range(len(good))]

    await until(others)
    await shop.broker.execute("DEL", *bad)
    await until(lambda: worker.ready)
    assert worker.unfit == {}
    await shop.broker.append([(bad[0], sale(shop, "z"))])

    async def again() -> bool:
        return "z" in await shop.sales()

    await until(again)


@pytest.mark.parametrize("failpoint", ["republish.appended=2", "republish.checkpointed=2"])
async def test_rows_said_again_by_a_process_that_was_killed_go_on_from_its_last_page(
    shop: Shop, children: Children, failpoint: str
) -> None:
    await provision.apply(shop.broker, shop.catalogue)
    names = [f"s{number:02}" for number in range(35)]
    relay = shop.start(shop.relay())
    for name in names:
        await shop.sell(name)
    await moved(shop)
    await shop.stop(relay)
    await forget(shop)

    await children.die_at("again", failpoint)
    position = "SELECT rows_said FROM headwater.republish WHERE state = 'running'"
    noted = 10 if failpoint.startswith("republish.appended") else 20
    assert await shop.source.fetchval(position) == noted
    assert len(await shop.broker.range(shop.key(SALES))) == 20
    assert await (await children.start("again")).wait() == 0

    assert await shop.source.fetchval("SELECT rows_said FROM headwater.republish WHERE state = 'done'") == 35
    assert len(await shop.broker.range(shop.key(SALES))) == 35 + (20 - noted)
    await started(shop, shop.worker())
    await applied(shop, *names)
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 35


async def unread_and_forgotten(shop: Shop, worker: Worker) -> None:
    """Sales a, b are applied; c, d are on the stream when Redis forgets everything; e comes after."""
    for name in ("a", "b"):
        await shop.sell(name)
    await applied(shop, "a", "b")
    await looked(shop)
    await shop.stop(worker)
    for name in ("c", "d"):
        await shop.sell(name)
    await moved(shop)
    await forget(shop)
    await shop.sell("e")
    await moved(shop)


async def closed(shop: Shop) -> bool:
    return await gaps(shop) == {"closed"}


async def test_what_redis_forgot_is_lost_without_the_relays_repair_until_one_command_brings_it(
    shop: Shop,
) -> None:
    shop.start(shop.relay())
    await unread_and_forgotten(shop, await started(shop, shop.worker()))
    await started(shop, shop.worker())
    await applied(shop, "a", "b", "e")
    await looked(shop, 4)
    assert await shop.sales() == ["a", "b", "e"]
    assert await gaps(shop) == {"open"}

    run = await again(shop)

    assert shop.key(SALES) in {one.stream for one in run.answered}
    await applied(shop, "a", "b", "c", "d", "e")
    await until(lambda: closed(shop), within=30.0)


async def test_what_redis_forgot_in_mid_traffic_comes_back_by_itself_and_once(shop: Shop) -> None:
    await shop.enable()
    shop.start(mending(shop))
    await unread_and_forgotten(shop, await started(shop, shop.worker()))
    good = await shop.put("first")
    worker = await started(shop, shop.worker())
    names = ["a", "b", "c", "d", "e"]
    for turn in range(20):
        await shop.put(f"turn {turn}", good)
        await shop.sell(f"f{turn:02}")
        names.append(f"f{turn:02}")

    await applied(shop, *names)
    await until(lambda: closed(shop), within=30.0)
    assert await shop.goods() == {good: "turn 19"}
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == len(names)
    assert worker.statistics()["acknowledged"] >= len(names)
    repair = "SELECT repair FROM headwater.gap WHERE stream = $1 GROUP BY 1"
    assert await shop.sink.fetchval(repair, shop.key(SALES)) == "republish"


async def test_a_repair_that_is_lost_before_it_is_applied_begins_again(shop: Shop) -> None:
    relay = shop.start(shop.relay())
    await unread_and_forgotten(shop, await started(shop, shop.worker()))
    worker = await started(shop, shop.worker())
    await applied(shop, "a", "b", "e")
    await until(lambda: noticed(shop), within=30.0)
    await shop.stop(worker)
    assert (await again(shop)).answered

    await forget(shop)
    await shop.stop(relay)
    shop.start(mending(shop))
    await started(shop, shop.worker())

    await applied(shop, "a", "b", "c", "d", "e")
    await until(lambda: closed(shop), within=30.0)


async def noticed(shop: Shop) -> bool:
    return await gaps(shop) == {"open"}


async def test_a_later_loss_opens_what_was_being_repaired_above_it(shop: Shop) -> None:
    async def state(since: str, until: str = "") -> str:
        await shop.sink.execute("DELETE FROM headwater.gap")
        await kept.record(shop.sink, Gap("shelf", "s", "stream_regressed", "", 1, "9-0"))
        number = await shop.sink.fetchval("SELECT id FROM headwater.gap")
        missing = Missing(app="shelf", stream="s", incarnation="", gap=number, since="9-0")
        done = Repaired(incarnation="", gap=number, rows=1, until="50-0", by="republish 1", since="9-0")
        assert await kept.repairing(shop.sink, missing, done, "republish") == [number]
        later = Gap(
            "shelf", "s", "group_missing", "", 1, since, repair="read_again" if until else "", until=until
        )
        await kept.record(shop.sink, later)
        return str(await shop.sink.fetchval("SELECT state FROM headwater.gap WHERE id = $1", number))

    assert await state("40-7") == "open"
    assert await state("50-0") == "repairing"
    assert await state("100-0") == "repairing"
    assert await state("40-7", until="60-0") == "repairing"  # the stream still has what was said again


async def test_what_is_too_much_to_say_again_without_asking_stays_open(shop: Shop) -> None:
    shop.start(mending(shop, most=2))
    await unread_and_forgotten(shop, await started(shop, shop.worker()))
    await started(shop, shop.worker())
    await applied(shop, "a", "b", "e")
    await looked(shop, 6)

    assert await gaps(shop) == {"open"}
    assert await shop.sales() == ["a", "b", "e"]

    await again(shop)
    await until(lambda: closed(shop), within=30.0)
    assert await shop.sales() == ["a", "b", "c", "d", "e"]


async def test_what_the_outbox_lacks_is_not_taken_for_repaired(shop: Shop) -> None:
    shop.start(mending(shop))
    await unread_and_forgotten(shop, await started(shop, shop.worker()))
    await shop.source.execute("DELETE FROM headwater.outbox WHERE key = 'd'")
    await started(shop, shop.worker())
    await applied(shop, "a", "b", "e")
    await looked(shop, 6)
    assert await gaps(shop) == {"open"}

    run = await again(shop)

    await applied(shop, "a", "b", "c", "e")
    assert run.answered == ()
    assert await gaps(shop) == {"open"}


async def test_entries_that_were_trimmed_unread_come_back(shop: Shop) -> None:
    shop.start(mending(shop))
    worker = await started(shop, shop.worker())
    await shop.sell("a")
    await applied(shop, "a")
    await looked(shop)
    await shop.stop(worker)
    names = [f"t{number}" for number in range(6)]
    for name in names:
        await shop.sell(name)
    await moved(shop)
    await shop.broker.execute("XTRIM", shop.key(SALES), "MAXLEN", "=", 2)

    await started(shop, shop.worker())

    await applied(shop, "a", *names)
    await until(lambda: closed(shop), within=30.0)
    assert [(entries, state) for _, entries, state in await recorded(shop, "trimmed_unread")] == [
        (4, "closed")
    ]
