"""The story: HS8's first day, and changes that leave all applications agreeing with the source."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from backfill import Story, backfills
from headwater.database import Database
from headwater.replay import Mirrored, Sides, examined
from headwater.testing import until
from producers import Producers, enablement
from tests.system.conftest import Application, said


async def counts(source: Database) -> dict[str, int]:
    """How many events of each type were said."""
    rows = await source.fetch("SELECT type, count(*) AS number FROM headwater.outbox GROUP BY 1")
    return {row["type"]: row["number"] for row in rows}


async def differing(source: Database, application: Application, tenant: str) -> dict[str, Any]:
    """Subjects in which an application and the source do not agree."""
    app = application.consumer.app
    found = {}
    for subject, mirror in application.consumer.mirrors.items():
        scope = next((one for one in backfills if one.subject == subject), None)
        if scope is not None:
            mirrored = Mirrored(
                app=app,
                subject=subject,
                table=mirror.table,
                key=mirror.key,
                live=mirror.live,
                retire=mirror.retire,
            )
            sides = Sides(source, application.database, scope, mirrored, tenant)
            compared = await examined(sides, followed)
            if not compared.agreed:
                found[subject] = compared.kinds
    return found


async def followed() -> bool:
    """Nothing is on its way here."""
    return True


async def test_the_first_day_has_the_counts_of_the_seed(source: Database, producers: Producers) -> None:
    story = Story(source, producers)

    await story.day_one()

    assert await counts(source) == {
        "tenant.updated": 1,
        "application.enabled": 1,
        "org.created": 5,
        "user.created": 10,
        "role.created": 3,
        "role.assigned": 10,
        "org.assignment.created": 10,
        "credit.allocated": 2,
    }
    rows = await source.fetch(enablement, story.tenants)
    assert [(row["tenant"], row["app"]) for row in rows] == [(story.tenants[0], "hr")]


async def test_the_first_days_scopes_are_what_the_seed_syncs_to_the_crm(
    source: Database, producers: Producers
) -> None:
    story = Story(source, producers)

    await story.day_one()

    in_scope = {
        one.subject: await source.fetchval(one.count, story.tenants[0], "crm", None) for one in backfills
    }
    assert in_scope == {
        "organizations": 5,
        "users": 10,
        "roles": 3,
        "role_assignments": 10,
        "assignments": 10,
        "credits": 1,
    }


async def test_the_credits_of_the_first_day_are_a_thousand_of_which_four_hundred_are_the_crms(
    source: Database, producers: Producers
) -> None:
    await Story(source, producers).day_one()

    rows = await source.fetch(
        "SELECT target_application AS app, allocated_credits AS credits, parent_entity_id AS parent "
        "FROM credit_allocations JOIN entities ON entity_id = source_entity_id ORDER BY 1 DESC"
    )
    assert [(row["app"], row["credits"], row["parent"]) for row in rows] == [
        ("system", 1000, None),
        ("crm", 400, None),
    ]


async def test_the_same_seed_tells_the_same_story(source: Database, producers: Producers) -> None:
    assert Story(source, producers, seed=3).tenants == Story(source, producers, seed=3).tenants
    assert Story(source, producers, seed=3).tenants != Story(source, producers, seed=4).tenants


@pytest.mark.parametrize("seed", [1, 2])
async def test_after_many_changes_in_any_order_and_twice_the_applications_agree_with_the_source(
    seed: int, source: Database, producers: Producers, crm: Application, hr: Application
) -> None:
    story, chance = Story(source, producers, tenants=2, seed=seed), Random(seed)
    await story.day_one()
    await story.change(400)
    everything = await said(source)
    heard = everything * 2
    chance.shuffle(heard)

    for application in (crm, hr):
        for start in range(0, len(heard), 200):
            await application.take(*heard[start : start + 200])

    for application in (crm, hr):
        for tenant in story.tenants:
            assert await differing(source, application, tenant) == {}
    assert len({envelope.type for envelope in everything}) >= 18


async def test_what_is_said_live_is_what_the_backfill_says_of_the_same_version(
    source: Database, producers: Producers
) -> None:
    story = Story(source, producers)
    await story.day_one()
    await story.change(150)
    live = {(one.subject, one.key, one.version): one.event for one in await said(source)}

    compared = 0
    for one in backfills:
        for row in await source.fetch(f"{one.scope}", story.tenants[0], "crm"):
            event = live[one.subject, row["key"], row["version"]]
            assert _state(event) == _state(one.say(row))
            compared += 1

    assert compared > 30


def _state(event: Any) -> dict[str, Any]:
    """What an event says of its thing, without what only the moment of saying it knows."""
    passing = {"amount", "reason", "updated_by", "activated_by", "deactivated_by", "deactivated_at"}
    return {name: getattr(event, name) for name in event.__struct_fields__ if name not in passing}


async def test_a_large_first_day_is_founded_whole(source: Database, producers: Producers) -> None:
    await Story(source, producers, organizations=50, users=2000).day_one()

    assert await source.fetchval("SELECT count(*) FROM organization_memberships") == 2000


async def test_life_goes_on_at_its_pace_until_it_is_stopped(source: Database, producers: Producers) -> None:
    story, stop = Story(source, producers), asyncio.Event()
    await story.day_one()
    before = await source.fetchval("SELECT count(*) FROM headwater.outbox")

    living = asyncio.create_task(story.live(stop, rate=100.0))
    await until(
        lambda: source.fetchval("SELECT count(*) > $1::int + 20 FROM headwater.outbox", before), within=60.0
    )
    stop.set()

    assert await living > 0


async def test_several_writers_at_once_make_only_whole_changes(
    source: Database, producers: Producers, crm: Application
) -> None:
    story = Story(source, producers)
    await story.day_one()

    await asyncio.gather(*(story.change(50) for _ in range(4)))

    await crm.take(*await said(source))
    assert await differing(source, crm, story.tenants[0]) == {}
