"""Comparisons over HTTP: keys that may write ask, keys that may read are told, of their tenants."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from headwater.admin import KeyRing, admin_application, issue, run_admin
from headwater.admin.agreement import PREFIX, Agreement, worst
from headwater.config import AdminKey
from headwater.replay.reconcile import Reconciler
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.test_compare import stocked


class Client:
    """Asks with the key that may write, or another."""

    def __init__(self, session: aiohttp.ClientSession, url: str, keys: dict[str, str]) -> None:
        self._session, self._url, self._keys = session, url, keys

    async def __call__(self, method: str, path: str, body: Any = None, key: str = "ops") -> tuple[int, Any]:
        headers = {"X-API-Key": self._keys[key]}
        url = self._url + PREFIX + path
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest_asyncio.fixture(loop_scope="session")
async def call(shop: Shop) -> AsyncIterator[Client]:
    issued = {
        "ops": issue("ops", ("read", "write"), (shop.tenant,)),
        "reader": issue("reader", ("read",), (shop.tenant,)),
        "foreign": issue("foreign", ("read", "write"), (str(uuid.uuid4()),)),
        "all": issue("all", ("read", "write"), ("*",)),
    }
    agree = Agreement(Reconciler(shop.history()))
    ring = KeyRing(AdminKey.parse(line) for _, line in issued.values())
    app = admin_application(ring, mounts={PREFIX: agree.application()})
    async with run_admin(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Client(session, f"http://{host}:{port}", {name: key for name, (key, _) in issued.items()})


async def test_a_comparison_is_asked_for_and_its_result_kept_with_who_asked(shop: Shop, call: Client) -> None:
    await stocked(shop, 3)
    where = f"/{shop.tenant}/shelf"
    assert (await call("GET", where))[1]["state"] == "unknown", "nothing was compared yet"
    await shop.sink.execute("DELETE FROM goods")

    compared = await call("POST", f"{where}?wait=30", {"level": 2})
    told = await call("GET", where, key="reader")
    mended = await call("POST", f"{where}?wait=30", {"fix": True})

    assert (compared[0], compared[1]["agreed"]) == (200, False)
    assert compared[1]["subjects"][0]["found"]["kinds"] == {"missing": 3}
    assert (told[1]["state"], told[1]["subjects"][0]["kinds"]) == ("differing", {"missing": 3})
    assert (mended[1]["agreed"], mended[1]["subjects"][0]["said"]) == (True, 3)
    after = (await call("GET", where))[1]
    assert after["state"] == "agreed"
    assert [(one["actor"], one["what"]) for one in after["events"]] == [
        ("ops", "repaired"),
        ("ops", "compared"),
    ]


async def test_a_comparison_that_takes_long_goes_on_behind_its_answer(shop: Shop, call: Client) -> None:
    await stocked(shop, 1)
    where = f"/{shop.tenant}/shelf"
    await shop.sink.execute("DELETE FROM goods")  # a difference is looked at for a while

    status, body = await call("POST", f"{where}?wait=0", {})
    assert (status, body["running"]) == (202, True)
    assert (await call("POST", where))[0] == 409

    async def ended() -> bool:
        return not (await call("GET", where))[1]["running"]

    await until(ended, within=30.0)
    assert (await call("GET", where))[1]["state"] == "differing"


async def test_what_may_not_be_asked_is_refused_by_name(shop: Shop, call: Client) -> None:
    where = f"/{shop.tenant}/shelf"
    assert (await call("POST", where, {}, key="reader"))[0] == 403
    assert (await call("POST", where, {}, key="foreign"))[0] == 404
    assert (await call("GET", where, key="foreign"))[0] == 404
    assert (await call("GET", f"/{shop.tenant}/nobody"))[0] == 404
    assert (await call("POST", "/no-uuid/shelf", {}, key="all"))[0] == 404
    for strange in ("%00", "%0a", "x" * 65):
        assert (await call("GET", f"/{strange}/shelf", key="all"))[0] == 404
        assert (await call("POST", f"/{strange}/shelf", {}, key="all"))[0] == 404
    assert (await call("POST", where, {}))[0] == 409, "it is not enabled"
    await shop.enable()
    for body, field in (
        ({"level": 3}, "level"),
        ({"sample": 5}, "sample"),
        ({"removeUntracked": True}, "removeUntracked"),
        ({"fix": "yes"}, "fix"),
    ):
        status, problem = await call("POST", where, body)
        assert (status, problem["field"]) == (400, field)
    assert (await call("POST", f"{where}?wait=long", {}))[0] == 400
    assert (await call("POST", where, {"subjects": ["sales"]}))[0] == 409
    async with shop.source.transaction() as tx:
        job = await shop.history().start(tx, shop.tenant, "shelf", {}, {"asked_by": "t", "reason": "t"})
    status, problem = await call("POST", where, {})
    assert (status, problem["job"]) == (409, job.id)


def test_many_states_are_as_good_as_the_worst_of_them() -> None:
    assert worst(["agreed", "differing"]) == "differing"
    assert worst(["differing", "unknown", "agreed"]) == "unknown"
    assert worst(["agreed"]) == "agreed"
    assert worst([]) == "unknown"


async def test_a_table_that_lacks_a_column_is_named_to_whoever_compares(shop: Shop, call: Client) -> None:
    await shop.enable()
    await shop.sink.execute("ALTER TABLE goods RENAME COLUMN name TO title")

    status, told = await call("POST", f"/{shop.tenant}/shelf", {})

    assert (status, told["detail"]) == (409, "table 'goods' lacks name")
