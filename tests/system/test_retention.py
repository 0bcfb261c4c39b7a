"""`headwater streams trim` and `headwater db gc` on real servers: what they remove, and what they print."""

from __future__ import annotations

from tests.system.test_commands import World, world

__all__ = ["world"]
OLD = "SELECT count(*) FROM headwater.outbox WHERE type = 'x'"


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

    bytes_ = (await world.run("streams", "trim", "--keep", "1KB", "--dry-run", "--json")).json
    small = {one["stream"].rpartition(":")[2]: one for one in bytes_["streams"]}
    assert small["org_created"]["bytes"] > 1024
    assert 0 < small["org_created"]["removed"] <= small["org_created"]["length"]
    assert small["credit-events"]["removed"] == 0

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


async def test_collection_says_what_would_go_and_what_holds_the_rest(world: World) -> None:
    await world.source.execute(
        "INSERT INTO headwater.outbox (event_id, type, tenant, key, source, data, said_at, published_at) "
        "SELECT n::text, 'x', 't', 'k', 's', '{}', now() - interval '30 days', now() - interval '30 days' "
        "FROM generate_series(1, 7) AS n"
    )

    would = (await world.run("db", "gc", "--dry-run", "--json")).json
    counts = {(one["database"], one["table"]): one["removed"] for one in would["tables"]}
    assert (would["schema"], counts["source", "outbox"]) == ("headwater.db.gc.v1", 7)
    assert {"source", "crm", "hr"} == {one["database"] for one in would["tables"]}
    assert await world.source.fetchval(OLD) == 7

    text = (await world.run("db", "gc", "--database", "source")).out
    assert await world.source.fetchval(OLD) == 0
    assert ["source", "outbox", "7"] in [line.split()[:3] for line in text.splitlines()]
    await world.run("db", "gc", "--database", "nowhere", code=1)


async def test_the_doctor_names_groups_that_hold_nothing_and_retention_that_nobody_does(
    world: World,
) -> None:
    await world.run("streams", "apply")
    await world.source.execute(
        "INSERT INTO headwater.reader (name, app, heard_at, given_up_at) "
        "VALUES ('crm-consumers', 'crm', now() - interval '9 days', now())"
    )
    await world.source.execute(
        "INSERT INTO headwater.upkeep (what, done_at, detail) VALUES "
        "('source', now() - interval '9 days', ''), ('crm', now(), 'ledger: the oldest row of the outbox')"
    )

    found = (await world.run("doctor", "--json", code=None)).json["checks"]

    said = {one["check"]: (one["state"], one["fix"]) for one in found}
    assert said["retention of crm-consumers"] == ("warn", "headwater worker crm")
    assert said["retention"][0] == "warn"
    assert "db gc" in said["retention"][1]


async def test_a_trim_killed_before_it_wrote_a_loss_down_leaves_it_to_the_next_worker(world: World) -> None:
    await world.run("streams", "apply")
    await world.enable_crm()
    await world.run("relay", "--once")
    await world.run("worker", "crm", "--once")
    key = f"{world.prefix}crm:sync:organization:org_created"
    await world.broker.append([(key, {b"a": b"b"})] * 5)
    before = (await world.run("groups", "gaps", "crm", "--json")).json["gaps"]

    world.run.environ["HEADWATER_FAILPOINTS"] = "retention.cut"
    process = await world.run.start("streams", "trim", "--stream", key, "--most", "0", "--yes")
    _, err = await process.communicate()
    del world.run.environ["HEADWATER_FAILPOINTS"]

    assert (process.returncode, b"retention.cut" in err) == (-9, True)
    assert await world.broker.execute("XLEN", key) == 0
    assert (await world.run("groups", "gaps", "crm", "--json")).json["gaps"] == before == []
    await world.run("worker", "crm", "--once")
    found = (await world.run("groups", "gaps", "crm", "--json", code=None)).json["gaps"]
    assert [(one["kind"], one["entries"]) for one in found] == [("trimmed_unread", 5)]
