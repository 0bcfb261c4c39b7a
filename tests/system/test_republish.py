"""`headwater relay republish` on real servers: what it prints, changes and ends with."""

from __future__ import annotations

import asyncio

from headwater.broker import repairs
from headwater.broker.repairs import Missing
from headwater.cli.project import find
from headwater.cli.readings import Sampler
from headwater.cli.wiring import wired
from headwater.config import load
from headwater.telemetry import Metrics
from headwater.testing import until
from tests.system.test_commands import ROOT, World, world

__all__ = ["world"]


async def test_lost_events_come_again_by_one_command_and_a_dry_run_changes_nothing(world: World) -> None:
    await world.run("streams", "apply")
    await world.enable_crm()
    await world.run("relay", "--once")
    lost = await entries(world)
    assert lost

    for key in await keys(world):
        await world.broker.execute("DEL", key)
    looked = (await world.run("relay", "republish", "--since", "1h", "--dry-run", "--json")).json
    assert await entries(world) == {}
    assert await world.source.fetchval("SELECT count(*) FROM headwater.republish") == 0
    done = (await world.run("relay", "republish", "--since", "1h", "--yes", "--json")).json

    assert (looked["schema"], looked["run"], looked["complete"]) == (
        "headwater.relay.republish.v1",
        None,
        True,
    )
    assert looked["entries"] == done["entries"] == await entries(world) == lost
    assert (done["rows"], done["refused"], done["complete"]) == (looked["rows"], 0, True)
    again = ("relay", "republish", "--resume", str(done["run"]), "--yes")
    assert "has ended" in (await world.run(*again, code=1)).err


async def test_rows_that_were_removed_are_told_and_need_a_yes(world: World) -> None:
    await world.run("streams", "apply")
    await world.run("relay", "--once")
    await world.source.execute("DELETE FROM headwater.outbox")

    told = await world.run("relay", "republish", "--since", "1h", "--dry-run")
    done = await world.run("relay", "republish", "--since", "1h", "--yes", "--json", code=1)

    assert "removed from the outbox" in told.err
    assert (done.json["complete"], done.json["rows"]) == (False, 0)


async def test_wrong_wishes_are_refused_before_anything_is_changed(world: World) -> None:
    await world.run("relay", "republish", code=2)
    await world.run("relay", "republish", "--since", "1h", code=2)
    await world.run("relay", "--once", "republish", "--since", "1h", code=2)
    await world.run("relay", "republish", "--since", "1h", "--resume", "1", "--yes", code=2)
    await world.run("relay", "republish", "--since", "1h", "--until", "2h", "--yes", code=2)
    await world.run("relay", "republish", "--since", "1h", "--app", "nobody", "--yes", code=1)
    await world.run("relay", "republish", "--since", "1h", "--stream", "nothing", "--yes", code=1)
    await world.run("relay", "republish", "--resume", "999", "--yes", code=1)


async def keys(world: World) -> list[str]:
    found = await world.broker.execute("KEYS", f"{world.prefix}*")
    return [key.decode() for key in found]


async def entries(world: World) -> dict[str, int]:
    """Entries of each stream that has any."""
    found = {key: await world.broker.execute("XLEN", key) for key in await streams(world)}
    return {key: count for key, count in found.items() if count}


async def streams(world: World) -> list[str]:
    return [key for key in await keys(world) if await world.broker.execute("TYPE", key) == b"stream"]


async def test_an_open_gap_is_told_with_the_command_that_mends_it(world: World) -> None:
    await world.run("streams", "apply")
    await world.enable_crm()
    await world.run("relay", "--once")
    stream, entry = await lost_entry(world)
    gap = "INSERT INTO headwater.gap (app, stream, kind, since) VALUES ('crm', $1, 'trimmed_unread', '0-0')"
    await world.crm.execute(gap, stream)

    listed = await world.run("groups", "gaps", "crm", code=1)
    checks = (await world.run("doctor", "--json", code=None)).json["checks"]
    (found,) = [one for one in checks if one["check"] == "crm gaps"]

    assert (found["state"], found["fix"]) == (
        "warn",
        f"headwater relay republish --since 0-0 --stream {stream}",
    )
    assert found["fix"] in listed.err
    assert await gaps_in_metrics(world) == [f'app="crm",kind="trimmed_unread",stream="{stream}"']
    done = await world.run(*found["fix"].split()[1:], "--yes", "--json")
    assert done.json["entries"][stream] >= 1
    assert (await world.broker.range(stream, start=f"({entry}"))[0].fields is not None
    await world.crm.execute("UPDATE headwater.gap SET state = 'closed'")
    await world.run("groups", "gaps", "crm")
    assert await gaps_in_metrics(world) == []


async def test_the_relay_answers_what_an_application_misses(world: World) -> None:
    await world.run("streams", "apply")
    await world.enable_crm()
    await world.run("relay", "--once")
    stream, _ = await lost_entry(world)
    settings = load(ROOT, world.run.environ)
    async with wired(find(ROOT, prefix=world.prefix), settings) as wiring:
        keys = wiring.project.catalogue.keys
        missing = Missing(app="crm", stream=stream, incarnation="i", gap=1, since="0-0")
        await repairs.ask(world.broker, keys, "crm", [], [missing])
        relay = wiring.relay()
        running = asyncio.create_task(relay.run())

        async def answered() -> bool:
            (done,) = await repairs.answers(world.broker, keys, [missing])
            return done is not None and repairs.settles(done, missing) and done.rows > 0

        await until(answered, within=60.0)
        relay.stop()
        await running
    assert await world.source.fetchval("SELECT asked_by FROM headwater.republish") == "relay"


async def lost_entry(world: World) -> tuple[str, str]:
    """A stream of CRM's alone that has entries, and its last one."""
    stream = next(key for key in sorted(await entries(world)) if ":organization-assignments" in key)
    last = await world.broker.stream(stream)
    assert last is not None
    return stream, last.last_id


async def gaps_in_metrics(world: World) -> list[str]:
    """Labels of every open gap that a process would tell of."""
    metrics = Metrics()
    async with wired(find(ROOT, prefix=world.prefix), load(ROOT, world.run.environ)) as wiring:
        await wiring.open_sinks(["crm"])
        await Sampler(wiring, metrics).gaps()
    lines = metrics.exposition().decode().splitlines()
    return [line.split("{")[1].split("}")[0] for line in lines if line.startswith("headwater_gaps_open{")]
