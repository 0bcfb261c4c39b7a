"""Readiness tells within ten seconds what is so; what only a restart mends fails liveness."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping

from headwater.admin import KeyRing, admin_application, run_admin
from headwater.broker import Broker
from headwater.cli.health import worker_checks
from headwater.clock import monotonic
from headwater.database import Database
from headwater.delivery import Pace, Worker
from headwater.delivery.pulse import Vitals
from headwater.testing import FaultProxy, until
from tests.engine.conftest import Shop
from tests.engine.entries import applied, put, sale, started
from tests.engine.matrix import binaries, running

TOLD_WITHIN = 10.0
PACE = Pace(block=2.0, min_idle=60.0, heartbeat=3.0, drain=2.0)
"""As the settings have it, where it matters here."""


async def over(seconds: float, look: Callable[[], object]) -> set[object]:
    """Everything that was seen in so many seconds."""
    seen, since = set[object](), monotonic()

    def long_enough() -> bool:
        seen.add(look())
        return monotonic() > since + seconds

    await until(long_enough, within=seconds + 30)
    return seen


async def test_a_database_that_falls_silent_under_an_idle_worker_is_told_in_time(shop: Shop) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        sink = await Database.open(proxy.url)
        worker = await started(shop, shop.worker(sink=sink, pace=PACE))
        proxy.black_hole()

        await until(lambda: not worker.ready, within=TOLD_WITHIN)
        assert "Postgres has not answered" in worker.trouble

        await proxy.heal()
        await until(lambda: worker.ready, within=TOLD_WITHIN)
        assert worker.trouble == ""
        await shop.stop(worker)
        await sink.close()


async def test_a_redis_that_falls_silent_is_told_in_time(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url)
        worker = await started(shop, shop.worker(broker=broker, pace=PACE))
        proxy.black_hole()

        await until(lambda: not worker.ready, within=TOLD_WITHIN)
        assert worker.trouble

        await proxy.heal()
        await until(lambda: worker.ready, within=TOLD_WITHIN)
        await shop.stop(worker)
        await broker.close()


async def test_a_redis_that_stands_still_is_told_in_time_and_nothing_is_lost_by_it(shop: Shop) -> None:
    async with running(binaries()[0]) as url:
        broker = Broker(url)
        told = (await broker.execute("INFO", "server")).decode()
        pid = int(told.partition("process_id:")[2].split()[0])
        worker = await started(shop, shop.worker(broker=broker, pace=PACE))
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(lambda: not worker.ready, within=TOLD_WITHIN)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: worker.ready, within=TOLD_WITHIN)
        await broker.append([(key, sale(shop, "s1")) for key in shop.catalogue.keys_of("shelf")[:1]])
        await until(shop.sales)
        await shop.stop(worker)
        await broker.close()


async def test_tables_that_do_not_fit_stay_told_while_other_statements_succeed(shop: Shop) -> None:
    worker = await started(shop, shop.worker())
    await shop.sink.execute("ALTER TABLE sales RENAME TO sold")
    await put(shop, sale(shop, "s1"))
    await until(lambda: not worker.ready)
    # Longer than dead letters are looked for, which works.
    assert await over(3.0, lambda: worker.ready) == {False}
    assert "sales" in worker.trouble

    await shop.sink.execute("ALTER TABLE sold RENAME TO sales")

    await applied(shop, "s1")
    await until(lambda: worker.ready)


class Stuck(Broker):
    """Never comes back from a heartbeat."""

    async def heartbeat(self, group: str, consumer: str, held: Mapping[str, Iterable[str]]) -> None:
        await asyncio.Event().wait()


async def alive(worker: Worker) -> int:
    """What `/livez` answers."""
    app = admin_application(KeyRing([]), checks=worker_checks([worker]))
    async with run_admin(app, "127.0.0.1", 0) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    return int(answer.split(b" ")[1])


async def test_a_loop_that_got_stuck_fails_liveness(shop: Shop) -> None:
    broker = Stuck(shop.redis_url)
    pace = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=1.0, wedged=2.0)
    worker = await started(shop, shop.worker(broker=broker, pace=pace))
    assert await alive(worker) == 200

    await until(lambda: worker.wedged)

    assert worker.wedged == "heartbeat"
    assert await alive(worker) == 503
    await shop.stop(worker)
    await broker.close()


async def test_an_idle_worker_gets_stuck_in_nothing(shop: Shop) -> None:
    pace = Pace(block=0.2, min_idle=0.6, heartbeat=0.2, drain=1.0, wedged=2.5)
    worker = await started(shop, shop.worker(pace=pace))

    assert await over(3.5, lambda: worker.wedged + worker.trouble) == {""}


def test_a_server_that_never_answered_yet_is_not_called_silent() -> None:
    vitals = Vitals()

    assert (vitals.trouble, vitals.wedged) == ("", "")
    vitals.held_up["batch"] = "no such table"
    assert vitals.trouble == "no such table"
