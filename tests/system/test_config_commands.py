"""`headwater config set | unset | show --sources` against applications' databases."""

from __future__ import annotations

from headwater.database import Database
from tests.system.test_commands import World, world

__all__ = ["world"]
STORED = "SELECT value FROM headwater.override WHERE name = 'USE_TEMPORAL_FOR_AUTH'"


async def stored(world: World) -> tuple[str | None, str | None]:
    """In the CRM's database and in that of human resources."""
    hr = await Database.open(world.run.environ["HEADWATER_APP_HR_URL"])
    try:
        return await world.crm.fetchval(STORED), await hr.fetchval(STORED)
    finally:
        await hr.close()


async def test_a_setting_is_put_in_force_in_every_application_listed_and_taken_back(world: World) -> None:
    done = await world.run("config", "set", "HEADWATER_TENANT_SYNC_USE_TEMPORAL", "1")
    assert done.out == "USE_TEMPORAL_FOR_AUTH=true within 2s in crm, hr\n"
    assert await stored(world) == ("true", "true")

    await world.run("config", "set", "USE_TEMPORAL_FOR_AUTH", "false", "--app", "crm")
    assert await stored(world) == ("false", "true")

    shown = (await world.run("--json", "config", "show", "--sources")).json["settings"]
    told = [row for row in shown if row["source"].startswith("override")]
    assert [(row["key"], row["value"]) for row in told] == [
        ("tenant_sync.use_temporal", "false"),
        ("tenant_sync.use_temporal", "true"),
    ]
    assert "override in crm by " in told[0]["source"]

    done = await world.run("--json", "config", "unset", "tenant_sync.use_temporal")
    assert done.json["apps"] == ["crm", "hr"]
    assert await stored(world) == (None, None)
    assert "nowhere" in (await world.run("config", "unset", "USE_TEMPORAL_FOR_AUTH")).out


async def test_what_can_not_be_put_in_force_ends_with_2_and_changes_nothing(world: World) -> None:
    for name, value in (
        ("USE_TEMPORAL_FOR_AUTH", "perhaps"),
        ("TEMPORAL_AUTH_TIMEOUT_MS", "0"),
        ("HEADWATER_REDIS_URL", "redis://elsewhere"),
        ("NO_SUCH", "1"),
    ):
        assert (await world.run("config", "set", name, value, code=2)).err
    refused = await world.run("config", "set", "USE_TEMPORAL_FOR_AUTH", "true", "--app", "auth", code=2)

    assert "HEADWATER_APP_AUTH_URL" in refused.err
    assert await stored(world) == (None, None)


async def test_settings_are_shown_though_an_application_does_not_answer(world: World) -> None:
    world.run.environ["HEADWATER_APP_HR_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    await world.run("config", "set", "USE_TEMPORAL_FOR_AUTH", "true", "--app", "crm")

    shown = await world.run("--json", "config", "show", "--sources")

    assert "overrides of hr: not read" in shown.err
    assert [row["source"] for row in shown.json["settings"] if "override in crm" in row["source"]]
