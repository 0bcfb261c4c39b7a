"""Users that can not be applied are told once, stop nobody, and are over once they are applied."""

from __future__ import annotations

import json
import uuid
from typing import Any

from click.testing import CliRunner

from backfill.user_sync.commands import users
from consumers import chat
from headwater.cli.invocation import Invocation
from headwater.testing import RunningServers, until
from tests.system.running import ROOT
from tests.system.user_sync import Run, World, opened

INSERT = "INSERT INTO users (id, first_name, phone, status) VALUES ($1, $2, $3, 'active')"


def user(number: int) -> uuid.UUID:
    return uuid.UUID(int=number << 96)


async def asked(world: World, *words: str) -> tuple[int, Any]:
    """A command's exit code and what it prints as JSON."""
    import asyncio  # noqa: PLC0415 (a thread: the command runs a loop of its own)

    def call() -> tuple[int, Any]:
        invocation = Invocation(project_dir=ROOT, json=True)
        invocation.__dict__["settings"] = world.settings
        found = CliRunner().invoke(users, list(words), obj=invocation)
        return found.exit_code, json.loads(found.stdout) if found.stdout else found.output

    return await asyncio.to_thread(call)


async def test_a_phone_collision_is_recorded_once_stops_nobody_and_is_over_when_the_user_is_applied(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world, world.running() as run:
        await until(lambda: ready(world, run))
        await world.source.execute(INSERT, user(1), "Ada", "111")
        await until(lambda: known(world, {"Ada"}))
        await world.source.execute(INSERT, user(2), "Bob", "111")
        await world.source.execute(INSERT, user(3), "Eve", "333")

        async def recorded() -> bool:
            return len(await chat.listed(world.chat, unresolved=True)) == 1

        await until(recorded)
        await until(lambda: known(world, {"Ada", "Eve"}))
        [problem] = await chat.listed(world.chat)
        assert (problem.error_type, problem.user_id) == ("UPSERT_USER_FAILED", str(user(2)))
        assert (problem.retry_count, problem.resolved) == (0, False)
        assert str(user(1)) in problem.error_message
        assert "111" not in problem.error_message.replace(str(user(1)), "")
        verification = await chat.verify(world.source, world.chat)
        assert (verification.consistent, verification.missing_ids) == (False, [str(user(2))])
        status = (await run.get("/status"))[1]
        assert status["errors"] == 1

        await world.source.execute("UPDATE users SET phone = '222' WHERE id = $1", user(2))
        await until(lambda: known(world, {"Ada", "Bob", "Eve"}))
        [problem] = await chat.listed(world.chat)
        assert problem.resolved
        assert problem.resolved_at is not None
        assert (await chat.verify(world.source, world.chat)).consistent


async def test_a_parked_user_is_applied_when_it_is_asked_for_and_the_other_has_given_the_phone_up(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world, world.running() as run:
        await until(lambda: ready(world, run))
        await world.source.execute(INSERT, user(1), "Ada", "111")
        await until(lambda: known(world, {"Ada"}))
        await world.source.execute(INSERT, user(2), "Bob", "111")

        async def recorded() -> bool:
            return len(await chat.listed(world.chat, unresolved=True)) == 1

        await until(recorded)
        code, listed = await asked(world, "errors", "--unresolved")
        assert (code, [one["user_id"] for one in listed["errors"]]) == (0, [str(user(2))])
        code, counted = await asked(world, "errors", "--by-type")
        assert (code, counted["by_type"]) == (0, {"UPSERT_USER_FAILED": 1})
        code, verified = await asked(world, "verify")
        assert (code, verified["missing"], verified["consistent"]) == (1, 1, False)
        assert (await asked(world, "verify", "--tolerance", "1"))[0] == 0
        await world.source.execute("UPDATE users SET phone = '222' WHERE id = $1", user(1))

        async def free() -> bool:
            return not await world.chat.fetchval("SELECT count(*) FROM users WHERE phone = '111'")

        await until(free)
        code, retried = await asked(world, "retry", "--user", str(user(2)))
        assert (code, len(retried["letters"])) == (0, 1)
        await until(lambda: known(world, {"Ada", "Bob"}))

        async def over() -> bool:
            return not await chat.listed(world.chat, unresolved=True)

        await until(over)
        assert (await asked(world, "verify"))[0] == 0


async def test_missed_deletions_are_found(servers: RunningServers, templates: dict[str, str]) -> None:
    async with opened(servers, templates["accounts"]) as world:
        for number in range(1, 4):
            await world.source.execute(INSERT, user(number), "Ada", str(number))
            await world.chat.execute(
                'INSERT INTO users (id, "externalId", name, phone, "createdAt", "updatedAt") '
                "VALUES (gen_random_uuid(), $1, 'Ada', $2, now(), now())",
                *(user(number + 1), str(number)),
            )
        found = await chat.verify(world.source, world.chat, tolerance=1)

    assert (found.source_count, found.chat_count, found.difference) == (3, 3, 0)
    assert (found.missing_ids, found.extra_ids) == ([str(user(1))], [str(user(4))])
    assert not found.consistent
    assert (found.recent_source, found.recent_chat, found.recent_difference) == (3, 3, 0)


async def ready(world: World, run: Run) -> bool:
    """Whether changes are heard, and the bulk sync of the first start, which says all once more, is over."""
    query = "SELECT count(*) FROM headwater.job WHERE finished_at IS NOT NULL"
    heard = run.process.bell.listening and run.process.turns.passes > 0
    return heard and bool(await world.source.fetchval(query))


async def known(world: World, names: set[str]) -> bool:
    return set((await world.names()).values()) == names
