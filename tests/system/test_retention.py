"""`headwater streams trim` and `headwater db gc` on real servers: what they remove, and what they print."""

from __future__ import annotations

from tests.system.test_commands import World, world

__all__ = ["world"]


async def test_trimming_spares_what_a_group_lacks_and_says_who_holds_it(world: World) -> None:
    await world.run("streams", "apply")
    await world.enable_crm()
    await world.run("relay", "--once")
    await world.run("worker", "crm", "--once")

    would = (await world.run("streams", "trim", "--keep", "0s", "--dry-run", "--json")).json
    found = {one["stream"].rpartition(":")[2]: one for one in would["streams"]}
    assert would["schema"] == "headwater.streams.trim.v1"
    assert found["org_created"]["removed"] == found["org_created"]["length"] > 0
    credits_ = found["credit-events"]
    assert (credits_["removed"], credits_["held_by"] == ["hr-consumers"]) == (0, credits_["length"] > 0)

    done = (await world.run("streams", "trim", "--keep", "0s", "--json")).json
    again = (await world.run("streams", "trim", "--keep", "0s", "--json")).json
    assert sum(one["removed"] for one in done["streams"]) == sum(one["removed"] for one in would["streams"])
    assert sum(one["removed"] for one in again["streams"]) == 0
    assert {one["group"]: one["holds"] for one in again["groups"]} == {
        "crm-consumers": True,
        "hr-consumers": True,
    }


async def test_a_bound_that_may_lose_entries_is_asked_for_and_what_is_lost_is_an_open_gap(
    world: World,
) -> None:
    await world.run("streams", "apply")
    await world.enable_crm()
    await world.run("relay", "--once")
    before = (await world.run("streams", "status", "--json")).json["streams"]
    count = next(one["length"] for one in before if one["stream"].endswith("org_created"))

    name = "{app}:sync:organization:org_created"
    refused = await world.run("streams", "trim", "--most", "0", code=2)
    assert "say --yes" in refused.err
    await world.run("streams", "trim", "--stream", "nowhere", code=1)
    text = (await world.run("streams", "trim", "--stream", name, "--most", "0", "--yes")).out

    assert f"crm-consumers {count}" in text
    gaps = (await world.run("groups", "gaps", "crm", "--json", code=1)).json
    assert [(one["kind"], one["entries"]) for one in gaps["gaps"]] == [("trimmed_unread", count)]
    await world.run("streams", "trim", "--keep", "soon", code=2)
