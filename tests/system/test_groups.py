"""`headwater groups` on real servers: what it prints, and what it ends with."""

from __future__ import annotations

from headwater.testing import until
from tests.system.test_commands import World, world

__all__ = ["world"]


async def test_lag_ends_with_1_when_something_is_late_or_a_group_is_missing(world: World) -> None:
    missing = (await world.run("groups", "lag", "crm", "--json", code=1)).json
    assert {one["missing"] for one in missing["groups"]} == {True}
    assert None not in [one["oldest"] for one in missing["groups"]]
    await world.run("streams", "apply")
    fresh = (await world.run("groups", "lag", "crm", "--max-age", "0s", "--json")).json
    assert (fresh["schema"], fresh["late"]) == ("headwater.groups.lag.v1", 0)
    await world.enable_crm()

    await world.run("relay", "--once")

    async def is_late() -> bool:
        return (await world.run("groups", "lag", "crm", "--max-age", "10ms", code=None)).code == 1

    await until(is_late)
    await world.run("groups", "lag", "crm", "--max-age", "1h")
    await world.run("worker", "crm", "--once")
    done = (await world.run("groups", "lag", "crm", "--max-age", "10ms", "--json")).json
    assert {(one["entries"], one["pending"], one["oldest"]) for one in done["groups"]} == {(0, 0, 0.0)}


async def test_lag_is_code_3_when_redis_is_away_and_code_2_for_a_time_that_is_none(world: World) -> None:
    world.run.environ["HEADWATER_REDIS_URL"] = "redis://127.0.0.1:1/0"

    await world.run("groups", "lag", "crm", "--max-age", "30s", code=3)
    await world.run("groups", "lag", "crm", "--max-age", "soon", code=2)


async def test_the_list_says_which_application_nobody_works_for(world: World) -> None:
    await world.run("streams", "apply")

    await world.run("worker", "crm", "--once")

    listed = (await world.run("groups", "list", "--json")).json["groups"]
    found = {one["application"]: one for one in listed}
    assert (found["crm"]["group"], found["crm"]["missing"]) == ("crm-consumers", 0)
    assert found["crm"]["silent"] is not None
    assert (found["hr"]["living"], found["hr"]["silent"]) == (0, None)
