"""`headwater groups` on real servers: what it prints, and what it ends with."""

from __future__ import annotations

from functools import partial

import pytest

from headwater.cli.project import find
from headwater.cli.readings import Sampler
from headwater.cli.wiring import wired
from headwater.config import load
from headwater.errors import BrokerUnavailable
from headwater.telemetry import Metrics
from headwater.testing import FaultProxy, until
from tests.system.test_commands import ROOT, World, world

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
    assert 0 <= found["crm"]["silent"] < 60
    assert (found["hr"]["living"], found["hr"]["silent"]) == (0, None)


async def test_unused_names_are_shown_and_then_removed_unless_they_hold_something(world: World) -> None:
    await world.run("streams", "apply")
    key = (await world.run("groups", "lag", "crm", "--json")).json["groups"][0]["stream"]
    for name in ("pod-a", "pod-b"):
        await world.broker.execute("XGROUP", "CREATECONSUMER", key, "crm-consumers", name)
    await world.broker.execute("XADD", key, "*", "n", "1")
    await world.broker.read("crm-consumers", "pod-b", [key], count=1, block=0.05)

    assert (await world.run("groups", "prune", "crm")).out == "no unused names\n"
    looked = (await world.run("groups", "prune", "crm", "--silent", "0s", "--dry-run", "--json")).json
    done = await world.run("groups", "prune", "crm", "--silent", "0s")

    assert [(one["name"], one["removed"]) for one in looked["names"]] == [("pod-a", True), ("pod-b", False)]
    assert ("removed" in done.out, "holds entries" in done.out) == (True, True)
    assert [one.name for one in await world.broker.consumers(key, "crm-consumers")] == ["pod-b"]
    await world.run("groups", "prune", "nobody", code=1)


async def test_a_worker_that_was_killed_has_its_name_again_at_once(world: World) -> None:
    await world.run("streams", "apply")
    key = (await world.run("groups", "lag", "crm", "--json")).json["groups"][0]["stream"]

    async def reads(process: int) -> bool:
        holder = await world.crm.fetchval("SELECT max(process) FROM headwater.worker_name")
        known = await world.broker.consumers(key, "crm-consumers")
        return bool(known) and known[0].idle < 1 and str(holder).startswith(f"{process}:")

    for _ in range(2):
        worker = await world.run.start("worker", "crm")
        await until(partial(reads, worker.pid), within=30.0)
        worker.kill()
        await worker.wait()
    await world.run("worker", "crm", "--once")

    names = [one.name for one in await world.broker.consumers(key, "crm-consumers")]
    assert names == ["crm-1"]
    assert await world.crm.fetchval("SELECT count(*) FROM headwater.worker_name") == 1


async def test_an_age_that_was_told_grows_on_while_redis_is_away(world: World) -> None:
    await world.run("streams", "apply")
    key = (await world.run("groups", "lag", "crm", "--json")).json["groups"][0]["stream"]
    await world.broker.execute("XADD", key, "*", "n", "1")

    def oldest(metrics: Metrics) -> float:
        where = {"stream": key, "group": "crm-consumers"}
        found = metrics.registry.get_sample_value("headwater_group_oldest_seconds", where)
        assert found is not None
        return found

    async with FaultProxy.before(world.run.environ["HEADWATER_REDIS_URL"]) as proxy:
        settings = load(ROOT, {**world.run.environ, "HEADWATER_REDIS_URL": proxy.url}, {})
        async with wired(find(ROOT, prefix=world.prefix), settings) as wiring:
            sampler = Sampler(wiring, wiring.metrics)
            await sampler.streams()
            told = oldest(wiring.metrics)
            await proxy.refuse()

            async def grown() -> bool:
                with pytest.raises(BrokerUnavailable):
                    await sampler.streams()
                return oldest(wiring.metrics) > told + 0.2

            await until(grown)
            await proxy.heal()


async def test_a_rewind_is_told_first_then_done_and_wrong_ones_are_refused(world: World) -> None:
    missing = await world.run("groups", "rewind", "crm", "--to", "2h", "--yes", code=None)
    assert missing.code != 0
    assert "does not exist" in missing.err
    await world.run("streams", "apply")
    key = (await world.run("groups", "lag", "crm", "--json")).json["groups"][0]["stream"]
    entry = (await world.broker.execute("XADD", key, "*", "n", "1")).decode()
    await world.broker.execute("XGROUP", "SETID", key, "crm-consumers", entry)

    wish = ("groups", "rewind", "crm", "--stream", key, "--to", "2h", "--json")
    told = (await world.run(*wish, "--dry-run")).json["streams"]
    done = (await world.run(*wish, "--yes")).json["streams"]

    for steps in (told, done):
        assert [(one["stream"], one["since"], one["entries"]) for one in steps] == [(key, entry, 1)]
    assert (await world.run("groups", "rewind", "crm", "--to", entry, "--yes", code=None)).code != 0
    await world.run("groups", "rewind", "crm", "--to", "nonsense", "--yes", code=2)
    await world.run("groups", "rewind", "crm", "--to", "2026-01-01T00:00:00", "--yes", code=2)
    await world.run("groups", "rewind", "crm", "--to", "2h", code=2)
    foreign = await world.run("groups", "rewind", "crm", "--to", "2h", "--stream", "x", "--yes", code=None)
    assert "no stream of crm" in foreign.err


async def test_gaps_are_listed_end_with_1_while_open_and_are_closed_by_hand(world: World) -> None:
    assert (await world.run("groups", "gaps", "crm", "--json")).json["gaps"] == []
    gap = await world.crm.fetchval(
        "INSERT INTO headwater.gap (app, stream, kind, entries, since) "
        "VALUES ('crm', 's', 'group_missing', 3, '5-0') RETURNING id"
    )
    found = (await world.run("groups", "gaps", "--json", code=1)).json
    assert [(one["id"], one["state"], one["entries"], one["since"]) for one in found["gaps"]] == [
        (gap, "open", 3, "5-0")
    ]
    await world.run("groups", "gaps", "crm", "--close", str(gap), code=2)

    await world.run("groups", "gaps", "crm", "--close", str(gap), "--note", "compared")

    assert (await world.run("groups", "gaps", "crm", "--json")).json["gaps"] == []
    (closed,) = (await world.run("groups", "gaps", "crm", "--all", "--json")).json["gaps"]
    assert (closed["state"], closed["repair"], closed["note"]) == ("closed", "hand", "compared")
    again = await world.run("groups", "gaps", "crm", "--close", str(gap), "--note", "x", code=None)
    assert "no gap" in again.err
