"""The user sync as a process: from a write in the source to the row in the chat, through all failures."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from backfill.user_sync.standing import Standing, health
from backfill.user_sync.turns import Turns
from headwater.publish import REALM, Producer
from headwater.testing import RunningServers, until
from producers.accounts.pace import Waits
from producers.accounts.sweep import Sweeper
from schemas import codec
from tests.system.user_sync import World, opened

INSERT = "INSERT INTO users (id, first_name, status) VALUES ($1, $2, 'active')"
END = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def user(number: int) -> uuid.UUID:
    return uuid.UUID(int=number << 96)  # the phone that a user without one gets is made of its beginning


async def in_chat(world: World, number: int, name: str) -> bool:
    return (await world.names()).get(str(user(number))) == name


async def test_it_starts_says_everything_once_hears_changes_and_ends_with_its_statistics(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world:
        await world.source.execute(INSERT, user(1), "there before")
        async with world.running() as run:
            await until(lambda: in_chat(world, 1, "there before"))
            await until(lambda: run.process.bell.listening)
            await world.source.execute(INSERT, user(2), "live")
            await until(lambda: in_chat(world, 2, "live"))
            await world.source.execute("UPDATE users SET first_name = 'new' WHERE id = $1", user(2))
            await until(lambda: in_chat(world, 2, "new"))
            await world.source.execute("UPDATE users SET status = 'blocked' WHERE id = $1", user(1))
            await world.source.execute("DELETE FROM users WHERE id = $1", user(2))

            async def empty() -> bool:
                return not await world.names()

            await until(empty)
            health, _ = await run.get("/health"), await run.get("/metrics")
            run.stop.set()
            statistics = await run.task

    assert health[0] == 200
    assert statistics["totalSynced"] >= 4
    assert (statistics["errors"], statistics["consecutiveFailures"]) == (0, 0)


async def test_the_answers_of_the_existing_service(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world, world.running() as run:
        await until(lambda: run.process.bell.listening and run.process.turns.passes)
        health, status = await run.get("/health"), await run.get("/status")
        metrics, other = await run.get("/metrics"), await run.get("/nothing")

    assert health[0] == 200
    assert health[1]["status"] == "HEALTHY"
    assert status[1]["isRealTimeActive"] is True
    assert status[1]["healthStatus"]["recommendations"] == ["All systems operational"]
    for name in ("sync_total_synced", "sync_errors", "sync_realtime_active", "sync_last_duration_seconds"):
        assert f"\n{name} " in metrics[1]
    assert other == (404, {"error": "Not Found", "endpoints": ["/health", "/status", "/metrics"]})


async def test_every_connection_to_the_source_is_lost_and_nothing_is_missed(
    servers: RunningServers, templates: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Scenario 1 and checklist: recovers from a database disconnect."""
    async with opened(servers, templates["accounts"]) as world, world.running() as run:
        await until(lambda: run.process.bell.listening and run.process.turns.passes)
        ended = await world.source.fetchval(END)
        await world.source.execute(INSERT, user(1), "meanwhile")
        await until(lambda: in_chat(world, 1, "meanwhile"))
        await until(lambda: run.process.bell.reconnects >= 1)
        status = (await run.get("/status"))[1]

    assert ended >= 3
    assert status["errors"] >= 1
    assert status["isRealTimeActive"] is True


@dataclass
class Turning:
    """Sweeps by the clock, without the rest of the process."""

    turns: Turns
    rung: asyncio.Event
    told: list[tuple[str, str | None, str]]


@contextlib.asynccontextmanager
async def turning(world: World, *, interval: float, waits: Waits | None = None) -> AsyncIterator[Turning]:
    rung, told = asyncio.Event(), []

    async def tell(kind: str, user: str | None, what: str, _: Mapping[str, Any]) -> None:
        told.append((kind, user, what))

    sweeper = Sweeper(world.source.url, Producer(codec, source="users"), realm=REALM)
    turns = Turns(sweeper, rung, interval=interval, waits=waits or Waits(retries=0), tell=tell)
    running = asyncio.create_task(turns.run())
    try:
        yield Turning(turns, rung, told)
    finally:
        turns.stop()
        await running
        await sweeper.close()


async def test_a_sweep_longer_than_the_interval_is_waited_for_and_the_next_runs_at_once(
    servers: RunningServers, templates: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Scenario 2: never two at a time; the same when the database is overloaded, scenario 4."""
    async with opened(servers, templates["accounts"]) as world, turning(world, interval=0.3) as one:
        await until(lambda: one.turns.passes)
        async with world.source.transaction() as tx:
            await tx.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            await until(lambda: one.turns.overlaps)
            before, sweeping, told = one.turns.passes, one.turns.sweeping, caplog.text
        await until(lambda: one.turns.passes >= before + 2)
        slow = "sweep.slow" in caplog.text

    assert sweeping
    assert "Previous sync still in progress" in told
    assert slow
    assert one.told == []


async def test_sweeps_run_by_the_clock_also_when_no_bell_rings(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world:
        await world.source.execute("DROP TRIGGER user_changes_trigger ON users")
        async with turning(world, interval=0.2) as one:
            await until(lambda: one.turns.passes)
            await world.source.execute(INSERT, user(1), "unheard")
            await until(lambda: one.turns.swept == 1)


async def test_a_glitch_is_retried_with_growing_waits_and_told_once_when_it_stays(
    servers: RunningServers, templates: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Scenario 3: tries again, says so when that did not help, and whoever was missed is found."""
    waits = Waits(retries=2, first=0.05, longest=0.1)
    async with opened(servers, templates["accounts"]) as world:
        await world.source.execute("ALTER TABLE user_sync.sweep RENAME TO away")
        await world.source.execute(INSERT, user(1), "late")
        async with turning(world, interval=0.5, waits=waits) as one:
            await until(lambda: one.told)
            told, attempts = list(one.told), caplog.text.count("sweep.failed")
            await world.source.execute("ALTER TABLE user_sync.away RENAME TO sweep")
            await until(lambda: one.turns.swept == 1)

    assert [kind for kind, *_ in told] == ["SCHEDULED_SYNC_FAILED"]
    assert "user_sync.sweep" in told[0][2]
    assert attempts >= 3
    assert one.turns.breaker.failures == 0


async def test_five_failed_sweeps_open_the_breaker_rings_are_not_answered_and_a_probe_closes_it(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world:
        await world.source.execute("ALTER TABLE user_sync.sweep RENAME TO away")
        async with turning(world, interval=0.1) as one:
            await until(lambda: one.turns.breaker.state == "open")
            failures, errors = one.turns.breaker.failures, one.turns.errors
            judged = health(Standing(listening=True, scheduled=True, failures=failures))
            await world.source.execute("ALTER TABLE user_sync.away RENAME TO sweep")
            await until(lambda: one.turns.passes)

    assert (failures, errors) == (5, 5)
    assert judged.status == "UNHEALTHY"
    assert one.turns.breaker.state == "closed"


async def test_a_user_that_can_not_be_said_is_told_once_and_stops_nobody(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world, turning(world, interval=60.0) as one:
        await until(lambda: one.turns.passes)
        await world.source.execute(INSERT, user(1), "good")
        await world.source.execute("INSERT INTO users (id, bio) VALUES ($1, repeat('x', 300000))", user(2))
        one.rung.set()
        await until(lambda: one.turns.swept == 1 and one.told)
        await world.source.execute(INSERT, user(3), "another")
        one.rung.set()
        await until(lambda: one.turns.swept == 2)

    assert [(kind, about) for kind, about, _ in one.told] == [("SYNC_USER_FAILED", str(user(2)))]


async def test_a_stop_does_not_wait_for_ever_for_a_sweep_that_hangs(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world, world.source.transaction() as tx:
        await tx.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        async with turning(world, interval=60.0) as one:
            one.turns.drain = 0.1
            await until(lambda: one.turns.sweeping)

    assert not one.turns.active
    assert one.turns.passes == 0
