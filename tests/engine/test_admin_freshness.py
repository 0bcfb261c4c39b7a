"""Freshness over HTTP: a number always, and a wait for one event that its tenant's keys may ask about."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from headwater.admin import KeyRing, admin_application, issue, run_admin
from headwater.admin.freshness import PREFIX, Freshness
from headwater.broker import Broker
from headwater.config import AdminKey
from headwater.publish import Receipt
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import put, sale, started, take


class Client:
    """Asks as one tenant's key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session, self._url, self._key = session, url, key

    async def __call__(self, path: str, key: str | None = None) -> tuple[int, Any]:
        headers = {"X-API-Key": self._key if key is None else key}
        async with self._session.get(self._url + PREFIX + path, headers=headers) as answer:
            return answer.status, await answer.json()


async def serve(shop: Shop, broker: Broker, tenants: tuple[str, ...] = ("*",)) -> AsyncIterator[Client]:
    key, line = issue("support", ("read",), tenants)
    fresh = Freshness(broker, shop.catalogue, {"shelf": shop.sink})
    app = admin_application(KeyRing([AdminKey.parse(line)]), mounts={PREFIX: fresh.application()})
    async with run_admin(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Client(session, f"http://{host}:{port}", key)


@pytest_asyncio.fixture(loop_scope="session")
async def call(shop: Shop) -> AsyncIterator[Client]:
    async for client in serve(shop, shop.broker, (shop.tenant,)):
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def everybody(shop: Shop) -> AsyncIterator[Client]:
    """Asks with a key for all tenants."""
    async for client in serve(shop, shop.broker):
        yield client


def receipt(shop: Shop, **changes: Any) -> Receipt:
    known = {
        "event_id": str(uuid.uuid4()),
        "tenant": shop.tenant,
        "subject": "goods",
        "key": "g",
        "version": 7,
    }
    return Receipt(**{**known, **changes})


async def test_lag_is_told_as_the_worst_of_the_streams_and_a_missing_group_as_such(
    shop: Shop, everybody: Client
) -> None:
    call = everybody
    assert (await call("/shelf/freshness"))[1]["missing"] == 2
    await put(shop, sale(shop, "s1"), sale(shop, "s2"))
    await take(shop, "w")

    status, told = await call("/shelf/freshness")

    assert (status, told["application"], told["group"]) == (200, "shelf", "shelf-group")
    assert (told["unapplied"], told["missing"], told["living"], told["exact"]) == (2, 0, 1, True)
    assert told["oldest"] == max(one["oldest"] for one in told["streams"]) >= 0
    assert [one["pending"] for one in told["streams"]] == [2, 0]


async def test_a_key_for_some_tenants_learns_how_fresh_an_application_is_and_not_how_much_others_do(
    shop: Shop, call: Client, everybody: Client
) -> None:
    await put(shop, sale(shop, "s1"), sale(shop, "s2"))
    await take(shop, "w")

    _, told = await call("/shelf/freshness")
    _, all_of_it = await everybody("/shelf/freshness")

    assert told.keys() == {"application", "group", "oldest", "living", "missing"}
    assert told["oldest"] > 0
    assert all_of_it["unapplied"] == 2


async def test_lag_is_no_zero_while_redis_is_away(shop: Shop) -> None:
    nobody = Broker("redis://127.0.0.1:1/0", timeout=0.5)

    async for call in serve(shop, nobody):
        assert (await call("/shelf/freshness"))[0] == 503
    await nobody.close()


async def test_an_event_is_waited_for_until_it_is_applied(shop: Shop, call: Client) -> None:
    shop.start(shop.relay())
    worker = await started(shop, shop.worker())
    async with shop.source.transaction() as tx:
        said = await shop.producer.publish(
            tx, GoodSold(sale_id="s1", good_id="g", amount=1), tenant=shop.tenant, operation_id="s1"
        )

    assert await call(f"/shelf/applied/{said.token}?wait=20") == (200, {"applied": True})
    assert await shop.sales() == ["s1"]
    assert worker.ready


async def test_what_is_not_applied_in_time_is_false_and_no_error(shop: Shop, call: Client) -> None:
    assert await call(f"/shelf/applied/{receipt(shop).token}") == (200, {"applied": False})


async def test_a_parked_event_is_a_conflict_that_names_its_letter(shop: Shop, call: Client) -> None:
    parked = receipt(shop)
    letter = await shop.sink.fetchval(
        "INSERT INTO headwater.dead_letter (app, stream, entry, reason, error, event_id, size) "
        "VALUES ('shelf', 's', '1-1', 'rejected', 'no', $1, 1) RETURNING id",
        parked.event_id,
    )

    status, problem = await call(f"/shelf/applied/{parked.token}?wait=20")

    assert (status, problem["letter"], problem["reason"]) == (409, letter, "rejected")


async def test_a_receipt_of_another_tenant_looks_like_one_that_does_not_exist(
    shop: Shop, call: Client
) -> None:
    foreign = receipt(shop, tenant=str(uuid.uuid4()))

    assert (await call(f"/shelf/applied/{foreign.token}"))[0] == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nobody/freshness", 404),
        ("/shelf/applied/nonsense", 400),
        ("/shelf/applied/{token}?wait=31", 400),
        ("/shelf/applied/{token}?wait=-1", 400),
        ("/shelf/applied/{token}?wait=nan", 400),
        ("/shelf/applied/{token}?wait=soon", 400),
        ("/till/applied/{token}", 404),
    ],
)
async def test_what_can_not_be_asked_is_refused(shop: Shop, call: Client, path: str, status: int) -> None:
    assert (await call(path.format(token=receipt(shop).token)))[0] == status


async def test_nobody_asks_without_a_key(shop: Shop, call: Client) -> None:
    for path in ("/shelf/freshness", f"/shelf/applied/{receipt(shop).token}"):
        assert (await call(path, key="hwk_x_y"))[0] == 401
