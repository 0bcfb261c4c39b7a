"""`headwater relay republish` on real servers: what it prints, changes and ends with."""

from __future__ import annotations

from tests.system.test_commands import World, world

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
