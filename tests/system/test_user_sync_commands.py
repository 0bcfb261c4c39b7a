"""The user sync as people start, kill, stop and ask it, by the variables of the existing service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from backfill.user_sync.checks import checks
from headwater.config import Settings, load
from headwater.testing import RunningServers, until
from tests.system.running import ROOT
from tests.system.test_user_sync_errors import asked
from tests.system.user_sync import World, opened

INSERT = "INSERT INTO users (id, first_name, status) VALUES ($1, $2, 'active')"


CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}


def user(number: int) -> uuid.UUID:
    return uuid.UUID(int=number << 96)


def variables(place: str, url: str) -> dict[str, str]:
    """Where a database is, as the existing service is told."""
    parts = urlsplit(url)
    given = {
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "NAME": parts.path.removeprefix("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
    }
    return {f"{place}_DB_{name}": value for name, value in given.items() if value}


def environment(world: World, servers: RunningServers) -> dict[str, str]:
    return {
        **variables("SOURCE", world.source.url),
        **variables("CHAT", world.chat.url),
        "HEADWATER_REDIS_URL": servers.redis_url,
        "HEADWATER_KEY_PREFIX": world.settings.key_prefix,
        "HEADWATER_USER_SYNC_STATUS_PORT": "0",
    }


async def begun(world: World, servers: RunningServers) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headwater", "--json", "sync", "users", "realtime"),
        cwd=ROOT,
        env={**CLEAN, **environment(world, servers)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def in_chat(world: World, names: set[str]) -> bool:
    return set((await world.names()).values()) == names


async def test_a_killed_process_started_again_misses_nothing_and_a_signal_ends_it_with_its_statistics(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    """Scenario 5; and the checklist: it starts, everything is said once, Ctrl-C ends it gracefully."""
    async with opened(servers, templates["accounts"]) as world:
        await world.source.execute(INSERT, user(1), "before")
        first = await begun(world, servers)
        await until(lambda: in_chat(world, {"before"}), within=60)
        await world.source.execute(INSERT, user(2), "live")
        await until(lambda: in_chat(world, {"before", "live"}), within=60)
        first.kill()
        await first.communicate()
        await world.source.execute("DELETE FROM users WHERE id = $1", user(1))
        await world.source.execute(INSERT, user(3), "meanwhile")

        second = await begun(world, servers)
        await until(lambda: in_chat(world, {"live", "meanwhile"}), within=60)
        second.send_signal(signal.SIGTERM)
        out, err = await second.communicate()

    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0, err.decode()
    statistics = json.loads(out)
    assert statistics["totalSynced"] >= 2
    assert statistics["consecutiveFailures"] == 0
    assert b"draining" in err


async def test_sync_all_lets_those_leave_whom_only_the_chat_has_and_verify_agrees(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with opened(servers, templates["accounts"]) as world:
        await world.source.execute(INSERT, user(1), "Ada")
        await world.chat.execute(
            'INSERT INTO users (id, "externalId", name, phone, "createdAt", "updatedAt") '
            "SELECT id, id, 'stranger', '7' || n, now(), now() "
            "FROM (SELECT gen_random_uuid() AS id, n FROM generate_series(1, 150) AS n) AS strangers"
        )
        before, differs = await asked(world, "verify")
        done, found = await asked(world, "sync-all")
        after, agrees = await asked(world, "verify")
        names = await world.names()

    assert (before, differs["missing"], differs["extra"]) == (1, 1, 150)
    assert (done, found["consistent"]) == (0, True)
    assert (after, agrees["source_count"], agrees["chat_count"]) == (0, 1, 1)
    assert names == {str(user(1)): "Ada"}


async def test_status_tells_how_far_sweeps_are(servers: RunningServers, templates: dict[str, str]) -> None:
    async with opened(servers, templates["accounts"]) as world:
        async with world.running() as run:
            await until(lambda: run.process.turns.passes)
        code, found = await asked(world, "status")

    assert code == 0
    assert found["swept_at"] is not None
    assert (found["outbox"], found["underway"]) == (0, False)


async def findings(settings: Settings) -> dict[str, tuple[str, str]]:
    return {one.check: (one.state, one.detail) async for one in checks(settings)}


async def test_doctor_names_a_doorbell_that_is_missing_or_doubled_and_says_nothing_where_no_users_are(
    servers: RunningServers, templates: dict[str, str], tmp_path: Path
) -> None:
    async with opened(servers, templates["accounts"]) as world:
        well = await findings(world.settings)
        await world.source.execute(
            "CREATE TRIGGER second AFTER UPDATE ON users EXECUTE FUNCTION notify_user_changes()"
        )
        doubled = await findings(world.settings)
        await world.source.execute("DROP TRIGGER second ON users; DROP TRIGGER user_changes_trigger ON users")
        missing = await findings(world.settings)
        nobody = await findings(load(tmp_path, {}))

    assert well == {"user sync source": ("ok", "set up, and its doorbell rings")}
    bell: Any = "user sync trigger user_changes_trigger"
    assert doubled[bell][0] == "fail"
    assert "twice" in doubled[bell][1]
    assert missing[bell][0] == "fail"
    assert "missing" in missing[bell][1]
    assert nobody == {}
