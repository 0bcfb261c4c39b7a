"""The seed's example flow (HS8): set-up, opt-in on day 30, live from day 31, in two sizes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any
from uuid import UUID

import pytest_asyncio

from backfill.story.changes import Changes
from backfill.story.dice import Dice
from headwater.broker import Entry
from headwater.database import load
from headwater.replay import Job
from headwater.testing import RunningServers
from producers import Producers
from tests.system.running import ROOT, Running, running

STORY = str(ROOT / "backfill" / "story" / "changes.py")
TABLES = ("organizations", "users", "roles", "role_assignments", "assignments", "credits")
STREAMS = {
    "organizations": "crm:sync:organization:org_created",
    "users": "crm:sync:user:user_created",
    "roles": "crm:sync:role:role_created",
    "role_assignments": "crm:sync:permissions:role_assigned",
    "assignments": "crm:organization-assignments",
    "credits": "credit-events",
}
"""Where the first event of each subject stands, live and historical."""


@pytest_asyncio.fixture
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system of this test's own."""
    async with running(servers, templates) as system:
        yield system


def is_historical(entry: Entry) -> bool:
    """By the flag in the metadata, which says the same as the routing field."""
    fields = entry.fields or {}
    flag = json.loads(fields[b"metadata"])["isHistoricalSync"]
    assert fields[b"hist"] == (b"1" if flag else b"0")
    return bool(flag)


async def held(system: Running, tenant: str) -> dict[str, int]:
    """How many rows the CRM has, by table; of assignments those in force."""
    found = {}
    for table in TABLES:
        condition = "is_active" if table == "assignments" else "true"
        found[table] = await system.count(f"crm.{table}", tenant, condition)
    return found


async def lengths(system: Running) -> dict[str, int]:
    """How long each stream of the CRM alone is."""
    found = {}
    for key in system.project.catalogue.keys_of("crm"):
        state = await system.wiring.broker.stream(key)
        assert state is not None, key
        found[key.removeprefix(system.wiring.settings.key_prefix)] = state.length
    return {key: length for key, length in found.items() if key.startswith("crm:")}


def synced(job: Job) -> dict[str, int]:
    """What a job published, by subject."""
    return {part.subject: part.published for part in job.parts}


async def assert_in_step(system: Running, tenant: str) -> None:
    """Both applications agree with the source in every subject."""
    for app, subjects in (("crm", set(TABLES)), ("hr", {"assignments", "credits"})):
        status = (await system.status(tenant, app)).body
        assert (status["syncState"], status["needsSync"]) == ("clean", False), status
        assert {one["subject"] for one in status["subjects"]} == subjects
        assert all(one["sourceCount"] == one["appliedCount"] for one in status["subjects"])


async def keep_changing(system: Running, tenant: str, stop: asyncio.Event) -> int:
    """Renames, top-ups and suspended sign-ins, each said in its transaction; how many until `stop`."""
    changes = Changes(Producers(system.wiring.producer()), Dice(Random(5)))
    kinds = (changes.rename_user, changes.top_up, changes.rename_organization, changes.change_membership)
    made = 0
    while not stop.is_set():
        async with system.source.transaction() as tx:
            await kinds[made % len(kinds)](tx, UUID(tenant))
        made += 1
    return made


async def opted_in(system: Running, tenant: str) -> tuple[Job, int]:
    """The CRM's history, synced while changes go on; the job and how many changes."""
    stop = asyncio.Event()
    changing = asyncio.create_task(keep_changing(system, tenant, stop))
    try:
        job = await system.enabled(tenant)
    finally:
        stop.set()
    return job, await changing


async def test_a_tenant_that_opts_in_on_day_30_has_everything_from_day_1_and_is_live_from_day_31(
    system: Running,
) -> None:
    story, tenant = await system.founded()
    await system.quiet()
    assert set((await lengths(system)).values()) == {0}
    assert set((await held(system, tenant)).values()) == {0}
    assert await system.crm.fetchval("SELECT count(*) FROM headwater.ledger") == 0
    assert await system.count("hr.assignments", tenant) == 10

    job, changes = await opted_in(system, tenant)

    assert (job.state, job.error) == ("verified", None)
    fixture = {"organizations": 5, "users": 10, "roles": 3, "role_assignments": 10, "assignments": 10}
    assert synced(job) == {**fixture, "credits": 1}
    assert changes > 0
    await system.quiet()
    await assert_in_step(system, tenant)
    assert await held(system, tenant) == {**fixture, "credits": 1}
    for subject, stream in STREAMS.items():
        past = [one for one in await system.entries(stream, tenant) if is_historical(one)]
        assert len(past) == synced(job)[subject], stream
        await assert_said_as_past(system, subject, past)

    before = {stream: len(await system.entries(stream, tenant)) for stream in STREAMS.values()}
    await day_31(system, tenant)
    await system.quiet()

    for subject, stream in STREAMS.items():
        new = (await system.entries(stream, tenant))[before[stream] :]
        assert new, stream
        assert not any(is_historical(one) for one in new), subject
    assert (await held(system, tenant))["organizations"] == 6
    await story.change(100)
    await system.quiet()
    await assert_in_step(system, tenant)


async def assert_said_as_past(system: Running, subject: str, entries: list[Entry]) -> None:
    """Flagged, for the CRM alone, in the name of a job, and with the time the row was made."""
    queries = {
        "organizations": ("originalCreatedAt", "SELECT created_at FROM entities WHERE entity_id = $1"),
        "users": ("originalCreatedAt", "SELECT created_at FROM tenant_users WHERE user_id = $1"),
        "assignments": (
            "originalCreatedAt",
            "SELECT created_at FROM organization_memberships WHERE membership_id = $1",
        ),
        "credits": (
            "originalAllocatedAt",
            "SELECT allocated_at FROM credit_allocations WHERE allocation_id = $1",
        ),
    }
    for entry in entries:
        fields = entry.fields or {}
        metadata = json.loads(fields[b"metadata"])
        assert (fields[b"target"], metadata["targetApplication"]) == (b"crm", "crm")
        assert fields[b"job"]
        if subject in queries:
            name, query = queries[subject]
            made = await system.source.fetchval(query, UUID(fields[b"key"].decode()))
            assert metadata[name][:19] == made.isoformat()[:19]


async def day_31(system: Running, tenant: str) -> None:
    """One of everything that is new."""
    changes = Changes(Producers(system.wiring.producer()), Dice(Random(31)))
    for change in (
        *(changes.found_organization, changes.add_user, changes.define_role, changes.assign_role),
        changes.top_up,
    ):
        async with system.source.transaction() as tx:
            await change(tx, UUID(tenant))


async def test_a_large_tenant_opts_in_while_changes_go_on(system: Running) -> None:
    _, tenant = await system.founded(organizations=200, users=2000)
    await add_memberships(system, tenant, 3000)

    job, changes = await opted_in(system, tenant)

    assert (job.state, job.error) == ("verified", None)
    fixture = {"organizations": 200, "users": 2000, "roles": 3, "role_assignments": 2000}
    assert synced(job) == {**fixture, "assignments": 5000, "credits": 1}
    assert changes > 0
    await system.quiet()
    assert await held(system, tenant) == synced(job)
    await assert_in_step(system, tenant)


async def add_memberships(system: Running, tenant: str, count: int) -> None:
    """More memberships of people in other organizations than their first."""
    dice = Dice(Random(9))
    users = await system.source.fetch(
        "SELECT user_id FROM tenant_users WHERE tenant_id = $1 ORDER BY 1", UUID(tenant)
    )
    places = await system.source.fetch(
        "SELECT entity_id FROM entities WHERE tenant_id = $1 ORDER BY 1", UUID(tenant)
    )
    about: list[list[Any]] = [
        [dice.id() for _ in range(count)],
        [users[number % len(users)]["user_id"] for number in range(count)],
        [places[number % len(places)]["entity_id"] for number in range(count)],
        [None] * count,
    ]
    producers = Producers(system.wiring.producer())
    async with system.source.transaction() as tx:
        rows = await tx.fetch(load(STORY, "insert_memberships"), UUID(tenant), *about)
        await producers.assignments.created_many(tx, rows)
