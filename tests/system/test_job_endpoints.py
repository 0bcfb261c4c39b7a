"""Jobs over HTTP: listed, shown, paused, gone on with, cancelled, tried again; and who may (HS5)."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from headwater import clock
from headwater.admin import KeyRing, admin_application, issue, run_admin
from headwater.config import AdminKey
from headwater.testing import RunningServers, until
from tests.system.running import KEYS, Running, running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system; what a toggle starts waits for a minute."""
    async with running(servers, templates, workers=("crm",), backfill_settle_after_toggle="60") as system:
        yield system


@pytest_asyncio.fixture
async def tenant(system: Running) -> str:
    """A tenant whose CRM was just enabled."""
    _, tenant = await system.founded()
    return tenant


def at(tenant: str, *rest: str, app: str = "crm") -> str:
    """A path of jobs."""
    return "/".join((f"/admin/organizations/{tenant}/applications/{app}/jobs", *rest))


async def queued(system: Running, tenant: str) -> str:
    """A job that waits."""
    found: str = (await system.toggle(tenant)).body["historicalSync"]["job"]["id"]
    return found


async def steer(system: Running, tenant: str, job: str, verb: str) -> tuple[int, Any]:
    """Ask something of a job; what was answered."""
    answer = await system.call("POST", at(tenant, job, verb))
    return answer.status, answer.body


async def test_a_job_is_paused_gone_on_with_cancelled_and_tried_again_and_all_is_written_down(
    system: Running, tenant: str
) -> None:
    job = await queued(system, tenant)

    states = []
    for verb in ("pause", "resume", "cancel", "retry"):
        status, body = await steer(system, tenant, job, verb)
        states.append((verb, status, body["job"]["state"]))

    assert states == [
        ("pause", 200, "paused"),
        ("resume", 200, "queued"),
        ("cancel", 200, "cancelled"),
        ("retry", 202, "queued"),
    ]
    assert (await system.ended(job)).state == "verified"
    shown = (await system.call("GET", at(tenant, job))).body
    trail = [(one["actor"], one["what"]) for one in shown["events"] if one["actor"] == "all"]
    assert [what for _, what in trail] == ["queued", "pause asked", "resumed", "cancel asked", "retried"]
    assert shown["quarantined"] == []


async def test_what_a_job_can_not_do_now_is_refused_with_the_job(system: Running, tenant: str) -> None:
    job = await queued(system, tenant)
    for verb in ("resume", "retry"):
        status, body = await steer(system, tenant, job, verb)
        assert (status, body["job"]["id"]) == (409, job), verb
    await steer(system, tenant, job, "cancel")

    for verb in ("pause", "resume", "cancel"):
        status, body = await steer(system, tenant, job, verb)
        assert (status, body["job"]["state"]) == (409, "cancelled"), verb
    await system.toggle(tenant, on=False)
    assert (await steer(system, tenant, job, "retry"))[0] == 409


async def test_jobs_are_listed_newest_first_and_no_more_than_asked_for(system: Running, tenant: str) -> None:
    first = await queued(system, tenant)
    await steer(system, tenant, first, "cancel")
    second = (await system.sync(tenant)).body["job"]["id"]

    listed = (await system.call("GET", at(tenant))).body["jobs"]
    one = (await system.call("GET", at(tenant) + "?limit=1")).body["jobs"]

    assert [found["id"] for found in listed] == [second, first]
    assert [found["id"] for found in one] == [second]
    assert (await system.call("GET", at(tenant, app="hr"))).body["jobs"] == []
    for limit in ("0", "x", "-1", "501", "٣", "9" * 40, "0000150000", "00001" + "9" * 5000):
        assert (await system.call("GET", at(tenant) + f"?limit={limit}")).status == 400, limit


async def test_jobs_of_others_and_jobs_that_are_none_do_not_exist(system: Running, tenant: str) -> None:
    job = await queued(system, tenant)
    _, other = await system.founded()

    for path in (at(other, job), at(tenant, job, app="hr"), at(tenant, str(uuid.uuid4())), at(tenant, "1")):
        assert (await system.call("GET", path)).status == 404, path
        for verb in ("pause", "resume", "cancel", "retry"):
            assert (await system.call("POST", f"{path}/{verb}")).status == 404, path
    assert (await system.call("GET", at(tenant, app="none"))).status == 404
    for verb in ("pause", "resume", "cancel", "retry"):
        assert (await system.call("POST", at(tenant, job, verb), key=KEYS["reader"])).status == 403
        assert (await system.call("POST", at(tenant, job, verb), key=KEYS["foreign"])).status == 404
        assert (await system.call("POST", at(tenant, job, verb), key=None)).status == 401
    assert (await system.call("GET", at(tenant, job, "progress"), key=KEYS["foreign"])).status == 404
    events = await (await system.wiring.history()).jobs.events(job)
    assert [one["what"] for one in events] == ["queued"]


async def test_progress_is_told_until_the_end(system: Running, tenant: str) -> None:
    job = await queued(system, tenant)
    headers = {"Authorization": f"Bearer {KEYS['reader']}"}
    url = f"{system.url}{at(tenant, job, 'progress')}"
    async with system.client.get(url, headers=headers) as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        told = [await event(stream)]
        await steer(system, tenant, job, "cancel")
        await steer(system, tenant, job, "retry")
        while told[-1][0] != "end":
            told.append(await event(stream))
        assert await stream.content.read() == b""

    assert [name for name, _ in told[:-1]] == ["progress"] * (len(told) - 1)
    assert told[0][1]["state"] == "queued"
    if told[-1][1]["state"] == "cancelled":  # it looked between the two
        assert (await system.ended(job)).state == "verified"
        told.append(("end", (await system.call("GET", at(tenant, job))).body))
    total = told[-1][1]["progress"]["total"]
    assert total["read"] == total["published"] == total["delivered"] == total["applied"] == total["expected"]
    assert total["expected"] > 30
    assert told[-1][1]["progress"]["etaSeconds"] == 0


async def test_progress_is_told_no_longer_than_the_key_is_valid(system: Running, tenant: str) -> None:
    job = await queued(system, tenant)
    await steer(system, tenant, job, "pause")
    times = [clock.now()]
    key, line = issue("short", ["read"], [tenant], expires=times[0] + timedelta(hours=1))
    ring = KeyRing([AdminKey.parse(line)], clock=lambda: times[0])
    mounts = await system.wiring.http()
    app = admin_application(ring, mounts=mounts, limits=system.wiring.settings.admin)
    headers = {"Authorization": f"Bearer {key}"}
    async with run_admin(app, "127.0.0.1", 0) as (host, port):
        url = f"http://{host}:{port}{at(tenant, job, 'progress')}"
        async with system.client.get(url, headers=headers) as stream:
            assert (await event(stream))[0] == "progress"
            times[0] += timedelta(hours=2)
            async with asyncio.timeout(30):
                assert b"event: end" not in await stream.content.read()
        async with system.client.get(url, headers=headers) as refused:
            assert refused.status == 401


async def test_nothing_is_told_to_readers_that_are_gone(
    system: Running, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = await queued(system, tenant)
    await steer(system, tenant, job, "pause")
    headers = {"Authorization": f"Bearer {KEYS['reader']}"}
    streams = [
        await system.client.get(f"{system.url}{at(tenant, job, 'progress')}", headers=headers)
        for _ in range(5)
    ]
    for stream in streams:
        assert (await event(stream))[0] == "progress"
    assert telling() == 5

    for stream in streams:
        stream.close()
    await until(lambda: telling() == 0, within=10.0)  # what keeps a connection open is said after 15

    assert "admin.failed" not in caplog.text


def telling() -> int:
    """How many readers are told of progress in this moment."""
    return sum("_tell" in waits(task.get_coro()) for task in asyncio.all_tasks())


def waits(coroutine: Any) -> list[str]:
    """The functions that a task is in, outermost first."""
    found = []
    while hasattr(coroutine, "cr_code"):
        found.append(coroutine.cr_code.co_name)
        coroutine = coroutine.cr_await
    return found


async def event(stream: aiohttp.ClientResponse) -> tuple[str, Any]:
    """The next event's name and what it says."""
    async with asyncio.timeout(30):
        lines = (await stream.content.readuntil(b"\n\n")).decode().splitlines()
    return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))


async def test_a_job_that_reads_is_paused_and_cancelled_from_outside(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with running(
        servers, templates, workers=("crm",), backfill_chunk="1", backfill_window="1"
    ) as system:
        _, tenant = await system.founded(users=300)
        job = await queued(system, tenant)

        async def state() -> str:
            return str((await system.call("GET", at(tenant, job))).body["state"])

        async def is_running() -> bool:
            return await state() == "running"

        async def is_paused() -> bool:
            return await state() == "paused"

        await until(is_running)
        assert (await steer(system, tenant, job, "pause"))[0] in {200, 202}
        await until(is_paused)
        assert (await steer(system, tenant, job, "resume"))[0] == 200
        await until(is_running)
        assert (await steer(system, tenant, job, "cancel"))[0] in {200, 202}
        assert (await system.ended(job)).state == "cancelled"
