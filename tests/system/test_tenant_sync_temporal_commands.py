"""Tenant syncs through Temporal as people run them: a worker process, the command, a flag taken back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import AsyncIterator

import aiohttp

from headwater.testing import until
from tests.system.test_commands import World, world
from tests.temporal_server import Temporal, free_port

__all__ = ["world"]


@contextlib.asynccontextmanager
async def worker(world: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """`headwater worker --temporal`, ready; it ends well when it is told to."""
    port = free_port()
    process = await world.run.start("worker", "--temporal", "--health-port", str(port))
    try:
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                assert process.returncode is None
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    return answer.status == 200

            await until(ready, within=60)
        yield process
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            _, err = await process.communicate()
        assert process.returncode == 0, err.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_worker_process_does_what_the_command_asks_temporal_for_until_the_flag_is_taken_back(
    world: World, temporal: Temporal
) -> None:
    world.run.environ |= {
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_ENABLED": "true",
        "USE_TEMPORAL_FOR_AUTH": "true",
        "HEADWATER_TENANT_SYNC_TEMPORAL_WORKFLOWS": f"test-{uuid.uuid4().hex[:12]}",
    }
    without = await world.run("--json", "sync", "tenant", world.tenant)
    async with worker(world):
        forced = await world.run("--json", "sync", "tenant", world.tenant, "--force")
        await world.run("config", "set", "USE_TEMPORAL_FOR_AUTH", "false", "--app", "crm")
        back = await world.run("--json", "sync", "tenant", world.tenant, "--force")
        asked = await world.run("sync", "tenant", world.tenant, "--force", "--method", "temporal")

    told = [
        (done.json["syncMethod"], done.json["requestedMethod"], done.json["fallbackUsed"])
        for done in (without, forced, back)
    ]
    assert told == [
        ("direct", "temporal", True),
        ("temporal", "temporal", False),
        ("direct", "direct", False),
    ]
    assert "no worker asks for" in without.json["temporalError"]
    assert forced.json["workflowId"] == f"tenant-sync:{world.tenant}"
    assert forced.json["status"] == "completed"
    assert "completed in" in asked.out
    assert ", temporal (" in asked.out


async def test_a_worker_for_nothing_and_one_without_a_server_say_so(world: World) -> None:
    world.run.environ["TEMPORAL_ADDRESS"] = f"127.0.0.1:{free_port()}"

    nothing = await world.run("worker", code=2)
    alone = await world.run("worker", "--temporal", code=1)

    assert "name an application, or say --temporal" in nothing.err
    assert "no Temporal at 127.0.0.1" in alone.err
    assert "TEMPORAL_ADDRESS" in alone.err
