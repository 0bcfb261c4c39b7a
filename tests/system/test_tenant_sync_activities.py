"""The activities of a tenant sync by themselves: no Temporal is needed to know what they do."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.leases import Lease, Wish
from backfill.tenant_sync.run import Run
from backfill.tenant_sync.source import BACKGROUND, Source
from backfill.tenant_sync.temporal.activities import Activities
from backfill.tenant_sync.temporal.shapes import FENCED, Asked, Begun, Failure, Part
from headwater.database import Database
from headwater.testing import until
from producers import Producers
from tests.system.syncing import held, runs, ways
from tests.system.test_tenant_sync_temporal import ALL, Slow, another, asked

STATE = "SELECT status, phase, token, lease_until IS NOT NULL, error->>'type' FROM crm.tenant_syncs"


class Attempt:
    """One attempt at an activity, and its heartbeats."""

    def __init__(self, number: int = 1) -> None:
        self.environment = ActivityEnvironment()
        self.environment.info = dataclasses.replace(self.environment.info, attempt=number)
        self.beats = 0
        self.environment.on_heartbeat = self._beat

    def _beat(self, *_: Any) -> None:
        self.beats += 1

    async def at(self, activity: Callable[..., Coroutine[Any, Any, Any]], given: Any) -> Any:
        """What the activity answers."""
        return await self.environment.run(activity, given)


def activities(source: Source | Database, crm: Database) -> Activities:
    read = DatabaseSource(source, "crm") if isinstance(source, Database) else source
    return Activities(ways(read, crm))


async def standing(crm: Database) -> tuple[Any, ...]:
    row = await crm.fetchrow(STATE)
    assert row is not None
    return tuple(row)


async def test_a_sync_is_its_activities_one_after_another(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    own, tenant = activities(source, crm_database), await another(source, producers)
    wanted = asked(tenant)

    begun: Begun = await Attempt().at(own.essential, wanted)
    between = await standing(crm_database)
    for name in begun.left:
        await Attempt().at(own.background, Part(tenant, begun.correlation, begun.token, name))
    await Attempt().at(own.finish, Part(tenant, begun.correlation, begun.token))

    assert begun == Begun(begun.token, [one.name for one in BACKGROUND], wanted.correlation)
    assert between == ("in_progress", "dependent", begun.token, True, None)
    assert await standing(crm_database) == ("completed", "completed", begun.token, False, None)
    assert await held(crm_database, tenant) == ALL


async def test_an_attempt_after_one_that_had_the_essential_data_in_reads_nothing_and_has_the_rest_before_it(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    """The worker died between its last write and the word to Temporal."""
    tenant = await another(source, producers)
    slow = Slow(DatabaseSource(source, "crm"))  # it is never let: whoever reads, waits for ever
    wanted = asked(tenant)
    first: Begun = await Attempt().at(activities(source, crm_database).essential, wanted)

    async with asyncio.timeout(30):
        second: Begun = await Attempt(2).at(activities(slow, crm_database).essential, wanted)

    assert not slow.asked.is_set()
    assert second.token > first.token
    assert second.left == first.left
    assert await runs(crm_database) == [("temporal", "superseded"), ("temporal", "in_progress")]


async def test_an_attempt_given_up_on_that_still_runs_is_fenced_by_the_next_and_writes_nothing(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await another(source, producers)
    slow = Slow(DatabaseSource(source, "crm"))
    wanted = asked(tenant)
    old = asyncio.create_task(Attempt().at(activities(slow, crm_database).essential, wanted))
    await slow.asked.wait()
    await Attempt(2).at(activities(source, crm_database).essential, wanted)
    await crm_database.execute("UPDATE crm.users SET email = 'kept@example'")
    slow.let.set()

    with pytest.raises(ApplicationError) as fenced:
        await old
    assert (fenced.value.type, fenced.value.non_retryable) == (FENCED, True)
    assert await crm_database.fetchval("SELECT count(*) FROM crm.users WHERE email = 'kept@example'") == 10


async def test_an_activity_gives_heartbeats_while_it_waits_for_the_source_and_ends_with_a_cancel(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await another(source, producers)
    slow = Slow(DatabaseSource(source, "crm"))
    attempt = Attempt()
    running = asyncio.create_task(attempt.at(activities(slow, crm_database).essential, asked(tenant)))
    await until(lambda: attempt.beats >= 2)
    attempt.environment.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await held(crm_database, tenant))["users"] == 0


async def test_an_activity_gives_heartbeats_while_it_waits_for_the_run_of_another_and_answers_as_that_did(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant, own = await another(source, producers), ways(DatabaseSource(source, "crm"), crm_database)
    other = await own.leases.take(tenant, "the other's", Wish())
    assert other is not None
    attempt = Attempt()
    waiting = asyncio.create_task(attempt.at(Activities(own).essential, asked(tenant, force=True)))
    await until(lambda: attempt.beats >= 2)
    await Run(own, other).essential()

    async with asyncio.timeout(30):
        found: Begun = await waiting
    assert found == Begun(0, [], "the other's")


async def test_a_background_whose_lease_was_taken_says_so_and_stores_nothing(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    own, tenant = activities(source, crm_database), await another(source, producers)
    begun: Begun = await Attempt().at(own.essential, asked(tenant))
    leases = ways(DatabaseSource(source, "crm"), crm_database).leases
    assert await leases.take(tenant, "the other's", Wish(steal=True)) is not None

    for activity, name in ((own.background, "entityCredits"), (own.finish, "")):
        with pytest.raises(ApplicationError) as fenced:
            await Attempt().at(activity, Part(tenant, begun.correlation, begun.token, name))
        assert fenced.value.type == FENCED
    assert (await held(crm_database, tenant))["credits"] == 0


async def test_only_the_run_that_failed_is_told_to_have_failed(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    own, tenant = activities(source, crm_database), await another(source, producers)
    wanted = asked(tenant)
    await Attempt().at(own.essential, wanted)
    wrong = Failure(tenant, "another's", "NETWORK_ERROR", "the wire")

    await Attempt().at(own.abandon, wrong)
    between = await standing(crm_database)
    await Attempt().at(own.abandon, dataclasses.replace(wrong, correlation=wanted.correlation))

    assert (between[0], between[4]) == ("in_progress", None)
    told = await standing(crm_database)
    assert (told[0], told[3], told[4]) == ("failed", False, "NETWORK_ERROR")


async def test_the_lease_is_renewed_for_as_long_as_an_activity_takes(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant, slow = await another(source, producers), Slow(DatabaseSource(source, "crm"))
    own = Activities(ways(slow, crm_database, lease=2.0))
    until_when = "SELECT lease_until FROM crm.tenant_syncs"
    running = asyncio.create_task(Attempt().at(own.essential, Asked(tenant, "own")))
    await slow.asked.wait()
    before = await crm_database.fetchval(until_when)

    async def later() -> bool:
        return bool(await crm_database.fetchval(until_when) > before)

    await until(later)
    slow.let.set()
    begun: Begun = await running

    assert begun == Begun(begun.token, [one.name for one in BACKGROUND], "own")
    assert Lease(tenant, begun.token, "own").token == (await standing(crm_database))[2]
