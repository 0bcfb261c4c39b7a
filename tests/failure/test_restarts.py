"""Any number of restarts leaves as many names as workers ran at once, and nothing that they read is lost."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from headwater.broker import hygiene
from headwater.broker.client import RELEASED
from headwater.delivery.reaping import Place, prune
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import SALES, applied, put, sale, started

COUNT = int(os.environ.get("HEADWATER_TEST_RESTARTS", "60"))
WIDTH = 3


async def test_restarts_by_kill_leave_no_names_behind(shop: Shop) -> None:
    sold = [f"s{number}" for number in range(COUNT)]
    stream = shop.key(SALES)
    await started(shop, shop.worker(name="first"))
    (worker, _), *_ = shop.running
    await shop.stop(worker)
    await put(shop, *(sale(shop, name) for name in sold))
    environment = {
        **os.environ,
        "SHOP_SINK": shop.sink.url,
        "SHOP_REDIS": shop.redis_url,
        "SHOP_STREAM": stream,
    }
    script = Path(__file__).with_name("restarts.py")

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), str(COUNT), str(WIDTH)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        cwd=script.parents[2],
    )
    out, _ = await process.communicate()

    assert int(out) == COUNT
    known = await shop.broker.consumers(stream, "shelf-group")
    dead = {one.name for one in known} - {"first", RELEASED}
    assert dead <= {f"shelf-{slot}" for slot in range(1, WIDTH + 1)}
    assert sum(one.pending for one in known) == COUNT  # the fault bit: every life died with an entry
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.worker_name") <= WIDTH
    await started(shop, shop.worker(name="heir"))
    await applied(shop, *sold)

    place = Place(shop.broker, shop.sink, "shelf", "shelf-group", (stream,))

    async def clean() -> bool:
        await shop.sink.execute("UPDATE headwater.worker_name SET lease_until = clock_timestamp()")
        await prune(place, silent=0.4)
        return {one.name for one in await shop.broker.consumers(stream, "shelf-group")} <= {"heir", RELEASED}

    await until(clean)
    assert await hygiene.consumers(shop.broker, [stream], "shelf-group") != {}
