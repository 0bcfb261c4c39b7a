"""`headwater reconcile` as a process on real servers: how it ends, what it says, killed, two at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from headwater.database import Database
from headwater.testing import until
from tests.system.test_commands import Done, World, world

__all__ = ["world"]
ORGANIZATIONS = "entities WHERE tenant_id = $1 AND entity_type = 'organization'"
USERS = "tenant_users WHERE tenant_id = $1"


async def reconcile(world: World, *options: str) -> Done:
    """To its end, whatever that is."""
    process = await world.run.start("--json", "reconcile", "crm", "--tenant", world.tenant, *options)
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def asked(world: World, *options: str, code: int) -> Done:
    """The same, without a process of its own."""
    return await world.run("--json", "reconcile", "crm", "--tenant", world.tenant, *options, code=code)


def kinds(done: Done) -> dict[str, dict[str, int]]:
    return {one["subject"]: one["found"]["kinds"] for one in done.json["subjects"] if one["found"]["kinds"]}


@contextlib.asynccontextmanager
async def filled(world: World) -> AsyncIterator[tuple[int, int]]:
    """The CRM has what there is, and somebody works for it: how many organizations and users."""
    await world.run("streams", "apply")
    await world.enable_crm()
    await world.run("relay", "--once")
    worker = await world.run.start("worker", "crm")
    try:
        organizations = await count(world.source, ORGANIZATIONS, world)
        users = await count(world.source, USERS, world)
        await until(lambda: has(world, organizations, users), within=60.0)
        yield organizations, users
    finally:
        worker.terminate()
        await worker.communicate()


async def count(database: Database, rows: str, world: World) -> int:
    found: int = await database.fetchval(f"SELECT count(*) FROM {rows}", UUID(world.tenant))
    return found


async def has(world: World, organizations: int, users: int) -> bool:
    mirrored = "crm.organizations WHERE tenant_id = $1", "crm.users WHERE tenant_id = $1"
    return [await count(world.crm, one, world) for one in mirrored] == [organizations, users]


async def spoil(world: World) -> None:
    """Rows that are gone, and rows that somebody edited."""
    tenant = UUID(world.tenant)
    await world.crm.execute("DELETE FROM crm.organizations WHERE tenant_id = $1", tenant)
    await world.crm.execute("UPDATE crm.users SET last_name = 'Wrong' WHERE tenant_id = $1", tenant)


async def is_right(world: World, organizations: int, users: int) -> bool:
    wrong = await count(world.crm, "crm.users WHERE tenant_id = $1 AND last_name = 'Wrong'", world)
    return wrong == 0 and await has(world, organizations, users)


async def test_its_exit_code_says_whether_both_agree_and_json_says_what_does_not(world: World) -> None:
    async with filled(world) as there:
        organizations, users = there
        agreed = await reconcile(world, "--level", "2")
        assert (agreed.code, agreed.json["agreed"], kinds(agreed)) == (0, True, {})
        assert agreed.json["schema"] == "headwater.reconcile.v1"

        await spoil(world)
        level_1, level_2 = await asked(world, code=1), await reconcile(world, "--level", "2")
        missing = {"organizations": {"missing": organizations}}
        assert (level_1.code, kinds(level_1)) == (1, missing)
        assert (level_2.code, kinds(level_2)) == (1, {**missing, "users": {"corrupt": users}})
        assert not await has(world, *there)  # asked, not mended
        await asked(world, "--state", code=1)

        fixed = await reconcile(world, "--level", "2", "--fix")
        assert (fixed.code, fixed.json["agreed"]) == (0, True)
        said = {one["subject"]: one["said"] for one in fixed.json["subjects"] if one["said"]}
        assert said == {"organizations": organizations, "users": users}
        assert await is_right(world, *there)
        await asked(world, "--state", code=0)
        no_tenant = await world.run("reconcile", "crm", "--tenant", "no tenant", code=1)
        assert "not enabled for the tenant" in no_tenant.err
        assert "nobody" in (await world.run("reconcile", "nobody", "--tenant", world.tenant, code=1)).err


@pytest.mark.parametrize("point", ["reconcile.reopened", "reconcile.said=2"])
async def test_a_repair_killed_anywhere_is_finished_by_the_next_one(world: World, point: str) -> None:
    async with filled(world) as there:
        await spoil(world)
        world.run.environ["HEADWATER_FAILPOINTS"] = point
        killed = await reconcile(world, "--level", "2", "--fix")
        del world.run.environ["HEADWATER_FAILPOINTS"]
        assert (killed.code, killed.out) == (-9, "")
        assert point.partition("=")[0] in killed.err
        known = await asked(world, "--state", code=1)
        assert {one["state"] for one in known.json["subjects"] if one["subject"] == "users"} == {"unknown"}

        again = await reconcile(world, "--level", "2", "--fix")

        assert (again.code, again.json["agreed"]) == (0, True)
        assert await is_right(world, *there)
        await asked(world, "--level", "2", code=0)


async def test_two_repairs_at_once_mend_everything_and_both_say_so(world: World) -> None:
    async with filled(world) as there:
        await spoil(world)

        both = await asyncio.gather(*(reconcile(world, "--level", "2", "--fix") for _ in range(2)))

        assert [one.code for one in both] == [0, 0]
        assert await is_right(world, *there)
        await asked(world, "--level", "2", code=0)
