"""`headwater config set` and `unset`: change what is in force while processes run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import click

from headwater import config
from headwater.cli.invocation import Invocation
from headwater.cli.project import find
from headwater.config.overriding import override, stored_name
from headwater.database import Database
from headwater.database.overrides import LOOK, Overrides
from headwater.errors import HeadwaterError, SettingsError

APPS = click.option(
    "--app", "apps", multiple=True, help="Only processes of this application; else of all that are named."
)


@click.command(
    epilog="Examples:  headwater config set USE_TEMPORAL_FOR_AUTH false  ·  "
    "headwater config set TEMPORAL_TENANTS 3f0e…,91bb… --app crm"
)
@click.argument("name")
@click.argument("value")
@APPS
@click.pass_obj
def put(invocation: Invocation, name: str, value: str, apps: tuple[str, ...]) -> None:
    """Put a value in force within seconds in every process of the applications.

    It stays so, over restarts, until `config unset`; `config show --sources` lists it. Only for settings that
    may change while a process runs: others are refused.
    """
    stored, text = override(name, value)

    async def work() -> list[str]:
        return [await _put(invocation, app, stored, text) for app in _named(invocation, apps)]

    done = invocation.run(work())
    data = {"name": stored, "value": text, "apps": done}
    said = f"{stored}={text} within {LOOK:g}s in {', '.join(done)}"
    invocation.out.result("config.set", data, text=said)


@click.command(epilog="Example:  headwater config unset USE_TEMPORAL_FOR_AUTH")
@click.argument("name")
@APPS
@click.pass_obj
def take_back(invocation: Invocation, name: str, apps: tuple[str, ...]) -> None:
    """Take back what `config set` put in force: each process goes on with what it was started with."""
    stored = stored_name(name)

    async def work() -> list[str]:
        named = _named(invocation, apps)
        return [app for app in named if await _take_back(invocation, app, stored)]

    done = invocation.run(work())
    said = f"taken back in {', '.join(done)}" if done else f"{stored} was overridden nowhere"
    invocation.out.result("config.unset", {"name": stored, "apps": done}, text=said)


def told(invocation: Invocation) -> list[dict[str, Any]]:
    """What is overridden, as rows of `config show`; a database that does not answer is noted."""

    async def work() -> list[dict[str, Any]]:
        asked = [_told(invocation, app) for app in _applications(invocation)]
        return [row for rows in await asyncio.gather(*asked) for row in rows]

    return invocation.run(work())


async def _told(invocation: Invocation, app: str) -> list[dict[str, Any]]:
    try:
        async with _opened(invocation, app) as overrides:
            found = await overrides.rows()
    except (HeadwaterError, asyncpg.PostgresError) as error:
        invocation.out.note(f"overrides of {app}: not read ({error})")
        return []
    keys = {one.name: one.key for one in config.describe()}
    return [
        {
            "key": keys.get(row["name"], row["name"]),
            "name": row["name"],
            "value": row["value"],
            "source": f"override in {app} by {row['set_by']}, {row['set_at']:%Y-%m-%d %H:%M:%S} UTC",
        }
        for row in found
    ]


async def _put(invocation: Invocation, app: str, name: str, value: str) -> str:
    async with _opened(invocation, app) as overrides:
        await overrides.set(name, value)
    return app


async def _take_back(invocation: Invocation, app: str, name: str) -> bool:
    async with _opened(invocation, app) as overrides:
        return await overrides.unset(name)


@asynccontextmanager
async def _opened(invocation: Invocation, app: str) -> AsyncIterator[Overrides]:
    database = await Database.open(invocation.settings.apps[app].reveal(), size=1)
    try:
        yield Overrides(database)
    finally:
        await database.close()


def _applications(invocation: Invocation) -> list[str]:
    """Those of the project whose database is named."""
    settings = invocation.settings
    project = find(invocation.project_dir, prefix=settings.key_prefix, aside=settings.backfill.side_streams)
    return [app for app in project.applications if app in settings.apps]


def _named(invocation: Invocation, apps: Iterable[str]) -> list[str]:
    known = _applications(invocation)
    wanted = sorted(set(apps) or set(known))
    missing = [app for app in wanted if app not in known]
    if missing or not wanted:
        app = missing[0] if missing else "<name>"
        raise SettingsError(f"no database is named for {app!r}", hint=f"set HEADWATER_APP_{app.upper()}_URL")
    return wanted
