"""What nobody expects of handlers, entries and servers: it costs one entry, or a wait, and nothing else."""

from __future__ import annotations

import asyncio
import random
import string
import uuid
from urllib.parse import urlsplit

import asyncpg
import pytest

from headwater.broker import Broker, provision
from headwater.cli.checks.redis import examine
from headwater.database import Database, Tx
from headwater.delivery import Consumer, Context
from headwater.delivery.applier import Applier
from headwater.delivery.hand import Hand
from headwater.delivery.recovering import Recovery
from headwater.delivery.settler import Settler
from headwater.delivery.shift import Post, Shift
from headwater.delivery.work import Delivery
from headwater.errors import BrokerUnavailable, DatabaseUnavailable, Retry
from headwater.testing import controls, until
from headwater.testing.controls import GoodChanged, GoodSold
from tests.engine.conftest import LIMITS, QUICK, Shop, Stock, opened
from tests.engine.entries import GOODS, SALES, applied, fields, letters, put, sale, settled, sold_by, started
from tests.engine.matrix import binaries, running


async def write(event: GoodSold, tx: Tx, context: Context) -> None:
    await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)


async def test_a_handler_that_is_cancelled_from_within_fails_and_its_neighbours_do_not(shop: Shop) -> None:
    async def wait_for_a_cancelled_task(event: GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id == "hard":
            task = asyncio.create_task(asyncio.sleep(60))
            task.cancel()
            await task
        await write(event, tx, context)

    worker = shop.start(shop.worker(sold_by(wait_for_a_cancelled_task)))
    await put(shop, sale(shop, "s1"), sale(shop, "hard"), sale(shop, "s2"))

    await applied(shop, "s1", "s2")
    assert await letters(shop) == {"hard": "exhausted"}
    assert worker.statistics()["in_hand"] == 0


async def test_a_handler_that_ends_the_transaction_has_not_handled_its_event(shop: Shop) -> None:
    async def give_up(event: GoodSold, tx: Tx, context: Context) -> None:
        await write(event, tx, context)
        if event.sale_id == "hard":
            await tx.execute("ROLLBACK")

    shop.start(shop.worker(sold_by(give_up)))
    await put(shop, sale(shop, "hard"), sale(shop, "s1"))

    await applied(shop, "s1")
    assert await letters(shop) == {"hard": "exhausted"}


async def test_an_entry_with_a_job_of_any_length_can_be_parked(shop: Shop) -> None:
    noise = "".join(random.Random(7).choices(string.printable[:90], k=20_000)).encode()
    shop.start(shop.worker())
    await put(shop, {**sale(shop, "hard", behave="reject"), b"job": noise}, sale(shop, "s1"))

    await applied(shop, "s1")
    assert await letters(shop) == {"hard": "rejected"}


async def test_an_entry_whose_key_fits_no_index_is_parked_at_once(shop: Shop) -> None:
    noise = "".join(random.Random(7).choices(string.ascii_letters, k=3_000))
    entry = sale(shop, "s")
    long = {**entry, b"data": entry[b"data"].replace(b'"s"', f'"{noise}"'.encode())}
    shop.start(shop.worker())
    await put(shop, long, sale(shop, "s1"))

    await applied(shop, "s1")
    assert list((await letters(shop)).values()) == ["malformed"]


async def test_a_database_that_takes_no_writes_is_unavailable_until_it_does(shop: Shop) -> None:
    name = urlsplit(shop.sink.url).path[1:]
    write = "DELETE FROM sales"
    await shop.source.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    refusing = await Database.open(shop.sink.url, size=1)
    try:
        with pytest.raises(DatabaseUnavailable):
            await refusing.execute(write)
        await shop.source.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')

        assert await refusing.execute(write) == "DELETE 0"
    finally:
        await refusing.close()


async def test_a_database_that_lets_nobody_in_is_unavailable_and_ends_no_worker(shop: Shop) -> None:
    name = urlsplit(shop.sink.url).path[1:]
    admin = await asyncpg.connect(shop.source.url)
    worker = await started(shop, shop.worker())
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
        )
        with pytest.raises(DatabaseUnavailable):
            await shop.sink.fetchval("SELECT 1")
        await put(shop, sale(shop, "s1"))
        await until(lambda: not worker.ready)
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await admin.close()

    await applied(shop, "s1")
    assert await letters(shop) == {}


async def test_a_worker_starts_and_drains_a_redis_that_is_out_of_memory(
    templates: tuple[Stock, Stock],
) -> None:
    async with running(binaries()[0]) as url, opened(templates, url) as shop:
        await put(shop, *(sale(shop, f"s{n}") for n in range(3)))
        await shop.broker.execute("CONFIG", "SET", "maxmemory", "1")
        try:
            shop.start(shop.worker())
            await applied(shop, "s0", "s1", "s2")
        finally:
            await shop.broker.execute("CONFIG", "SET", "maxmemory", "0")


async def test_of_workers_that_mend_streams_together_each_group_is_made_by_one(shop: Shop) -> None:
    streams = [shop.key(f"s{n}") for n in range(20)]
    brokers = [Broker(shop.redis_url) for _ in range(4)]
    try:
        mended = await asyncio.gather(
            *(provision.mend(one, streams, "g", f"w{n}") for n, one in enumerate(brokers))
        )
    finally:
        for one in brokers:
            await one.close()

    assert sorted(stream for one in mended for stream in one.created) == sorted(streams)
    assert [one.unfit for one in mended] == [{}] * 4


async def test_whatever_answers_in_place_of_redis_is_an_outage() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        broker = Broker(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(BrokerUnavailable):
            await broker.execute("PING")
        await broker.close()


async def test_suspects_are_found_in_whatever_order_they_come_and_among_however_many(shop: Shop) -> None:
    ids = await put(shop, *(sale(shop, f"s{n}") for n in range(1_020)))
    await shop.broker.read("shelf-group", "w1", [shop.key(SALES)], count=2_000, block=0.05)
    wanted = {ids[0], ids[9], ids[10], ids[1_015]}
    await shop.broker.execute(
        *("XCLAIM", shop.key(SALES), "shelf-group", "w1", 0, *wanted, "RETRYCOUNT", 5, "JUSTID")
    )
    again = [Delivery(shop.key(SALES), entry, {}) for entry in reversed(ids)]

    post, hand = Post("shelf", "shelf-group", "w1", [shop.key(SALES)], QUICK), Hand()
    settler = Settler(shop.sink, shop.broker, controls.CODEC, "shelf-group", hand)
    side = Applier(shop.sink, controls.shelf(), name="w1/side", limits=LIMITS)

    recovery = Recovery(Shift(post, shop.broker, settler, hand, side))

    assert await recovery.suspects(shop.key(SALES), again) == wanted


async def test_a_retry_at_no_time_at_all_is_a_failure_of_its_handler(shop: Shop) -> None:
    async def confused(event: GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id == "hard":
            raise Retry(after=None)  # type: ignore[arg-type]
        await write(event, tx, context)

    worker = shop.start(shop.worker(sold_by(confused)))
    await put(shop, sale(shop, "hard"), sale(shop, "s1"))

    await applied(shop, "s1")
    assert await letters(shop) == {"hard": "exhausted"}
    assert worker.ready


async def test_a_number_is_one_key_however_it_is_spelled(shop: Shop) -> None:
    await shop.sink.execute(
        "CREATE TABLE numbered (tenant_id uuid, good_id bigint, name text, PRIMARY KEY (tenant_id, good_id))"
    )
    consumer = Consumer("shelf")

    @consumer.upsert(GoodChanged, table="numbered", key="good_id")
    class Good:
        name: str

    shop.start(shop.worker(consumer))
    for key, name, version in (("7", "new", 9), ("007", "old", 5), ("+7", "older", 4)):
        await put(shop, fields(shop, GoodChanged(good_id=key, name=name), version), stream=GOODS)
        await until(lambda: settled(shop))

    assert await shop.sink.fetchval("SELECT name FROM numbered") == "new"


async def test_a_reader_that_may_not_ask_for_its_number_reads_and_stops(shop: Shop) -> None:
    await put(shop)
    await shop.broker.execute("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-client|id")
    failed: list[object] = []
    plain = Broker(as_user(shop.redis_url, "plain"))
    try:
        read = asyncio.create_task(plain.read("shelf-group", "w1", [shop.key(SALES)], count=10, block=0.3))

        async def returned() -> bool:
            failed.extend(filter(None, await asyncio.gather(plain.unblock(), return_exceptions=True)))
            return read.done()

        await until(returned)
        assert failed == []
        assert await read == []
    finally:
        await plain.close()
        await shop.broker.execute("ACL", "DELUSER", "plain")


def as_user(url: str, user: str) -> str:
    """The address with this user and the password `secret`."""
    at = urlsplit(url)
    return at._replace(netloc=f"{user}:secret@{at.netloc.rpartition('@')[2]}").geturl()


async def test_acknowledgements_that_redis_refuses_are_told_and_made_once_it_takes_them(shop: Shop) -> None:
    user = f"mute{uuid.uuid4().hex[:8]}"
    rules = ("on", ">secret", "~*", "&*", "+@all")
    await shop.broker.execute("ACL", "SETUSER", user, *rules, "-xack")
    broker = Broker(as_user(shop.redis_url, user))
    try:
        worker = await started(shop, shop.worker(broker=broker))
        await put(shop, sale(shop, "s1"))

        await until(lambda: "XACK" in worker.trouble.upper())
        assert not worker.ready
        assert await shop.sales() == ["s1"]

        await shop.broker.execute("ACL", "SETUSER", user, "+xack")
        await until(lambda: worker.ready)
        await until(lambda: settled(shop))
        assert await shop.sales() == ["s1"]
        await shop.stop(worker)
    finally:
        await broker.close()
        await shop.broker.execute("ACL", "DELUSER", user)


async def test_who_may_acknowledge_again_is_ready_also_when_others_made_its_acknowledgements(
    shop: Shop,
) -> None:
    user = f"mute{uuid.uuid4().hex[:8]}"
    await shop.broker.execute("ACL", "SETUSER", user, "on", ">secret", "~*", "&*", "+@all", "-xack")
    broker = Broker(as_user(shop.redis_url, user))
    try:
        worker = await started(shop, shop.worker(broker=broker))
        (entry,) = await put(shop, sale(shop, "s1"))
        await until(lambda: shop.key(SALES) in worker.trouble)
        await shop.broker.acknowledge(worker.group, {shop.key(SALES): [entry]})
        await until(lambda: settled(shop))

        told = [one async for one in examine(broker, shop.catalogue, production=False)]
        assert f"acknowledging on {shop.key(SALES)}" in {one.check for one in told if one.state == "fail"}
        assert not worker.ready

        await shop.broker.execute("ACL", "SETUSER", user, "+xack")
        await until(lambda: worker.ready)
        assert worker.trouble == ""
        told = [one async for one in examine(broker, shop.catalogue, production=False)]
        assert not [one.check for one in told if one.check.startswith("acknowledging")]
        await shop.stop(worker)
    finally:
        await broker.close()
        await shop.broker.execute("ACL", "DELUSER", user)


async def test_a_row_that_a_policy_keeps_out_is_parked_and_missing_rights_are_waited_for(shop: Shop) -> None:
    role = f"clerk_{uuid.uuid4().hex[:8]}"
    await shop.sink.execute(f"""
        CREATE ROLE {role};
        GRANT USAGE ON SCHEMA public, headwater TO {role};
        GRANT ALL ON ALL TABLES IN SCHEMA public, headwater TO {role};
        GRANT ALL ON ALL SEQUENCES IN SCHEMA headwater TO {role};
        ALTER TABLE sales ENABLE ROW LEVEL SECURITY;
        CREATE POLICY not_all ON sales USING (true) WITH CHECK (sale_id <> 'hidden')""")
    sink = await Database.open(f"{shop.sink.url}?role={role}&search_path=headwater")
    try:
        worker = await started(shop, shop.worker(sink=sink))
        await put(shop, sale(shop, "s1"), sale(shop, "hidden"), sale(shop, "s2"))
        await applied(shop, "s1", "s2")
        await until(lambda: settled(shop))
        assert await letters(shop) == {"hidden": "sqlstate_42501"}

        await shop.sink.execute(f"REVOKE INSERT ON sales FROM {role}")
        await put(shop, sale(shop, "s3"))
        await until(lambda: "permission denied" in worker.trouble)
        assert list(await letters(shop)) == ["hidden"]

        await shop.sink.execute(f"GRANT INSERT ON sales TO {role}")
        await applied(shop, "s1", "s2", "s3")
        await shop.stop(worker)
    finally:
        await sink.close()
        await shop.sink.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await shop.sink.execute("DROP POLICY not_all ON sales; ALTER TABLE sales DISABLE ROW LEVEL SECURITY")
