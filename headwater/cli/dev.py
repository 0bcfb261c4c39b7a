"""`headwater dev`: everything of this project in one process, on servers whose data is kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from headwater.cli.invocation import Invocation
from headwater.cli.project import find
from headwater.cli.system import System
from headwater.config import Settings
from headwater.errors import HeadwaterError

_FOLDER = ".headwater"
_FILE = "env"


@click.command(
    epilog='Examples:  headwater dev  ·  headwater dev --port 9000  ·  eval "$(headwater dev --print-env)"'
)
@click.option("--port", type=click.IntRange(0, 65_535), help="Setting admin.port; 0 is any free one.")
@click.option(
    "--print-env", is_flag=True, help="Print what another shell exports to use the `dev` that runs here."
)
@click.pass_obj
def command(invocation: Invocation, port: int | None, print_env: bool) -> None:
    """Run relay, workers, backfills and the admin interface on servers kept in .headwater/.

    Nothing that the settings name is touched: no Redis, no database. Ctrl-C drains and stops.
    """
    folder = invocation.project_dir / _FOLDER
    if print_env:
        click.echo(_read(folder / _FILE), nl=False)
        return
    settings = invocation.load({"admin.port": None if port is None else str(port)})
    if settings.redis_url is not None or settings.source_url is not None or settings.apps:
        invocation.out.note("servers named in the settings are left alone: dev has its own")
    running: list[System] = []

    async def work(stop: asyncio.Event) -> None:
        from headwater.embedded import Servers  # noqa: PLC0415 (not importable on Windows, where help is)

        project = find(
            invocation.project_dir, prefix=settings.key_prefix, aside=settings.backfill.side_streams
        )
        async with (
            Servers.start(folder, settings.embedded) as servers,
            System.start(project, settings, servers) as system,
        ):
            running.append(system)
            with _written(folder / _FILE, exports(system.settings)):
                _announce(invocation, system, servers.describe())
                await system.until(stop)

    invocation.serve(work, in_hand=lambda: sum(system.in_hand() for system in running))


def exports(settings: Settings) -> str:
    """Lines for a shell that shall use the same servers."""
    values = {"HEADWATER_REDIS_URL": settings.redis_url, "HEADWATER_SOURCE_URL": settings.source_url}
    values |= {f"HEADWATER_APP_{app.upper()}_URL": url for app, url in settings.apps.items()}
    return "".join(
        f"export {name}={shlex.quote(url.reveal())}\n" for name, url in values.items() if url is not None
    )


@contextlib.contextmanager
def _written(file: Path, text: str) -> Iterator[None]:
    """A file only we may read, while the block runs; its first line says whose it is."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as writing:
        writing.write(f"# headwater dev {os.getpid()}\n{text}")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _read(file: Path) -> str:
    try:
        head, _, text = file.read_text().partition("\n")
        os.kill(int(head.rpartition(" ")[2]), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        raise HeadwaterError(
            f"no headwater dev runs in {file.parent.parent}",
            hint="start it in another terminal: headwater dev",
        ) from None
    return text


def _announce(invocation: Invocation, system: System, servers: str) -> None:
    settings = system.settings
    assert settings.redis_url is not None  # noqa: S101 (a started system has both)
    assert settings.source_url is not None  # noqa: S101
    redis, source = settings.redis_url.reveal(), settings.source_url.reveal()
    commands = {"redis": f"redis-cli -u {redis}", "source": f"psql {source}"}
    commands |= {app: f"psql {url.reveal()}" for app, url in settings.apps.items()}
    data = {
        "servers": servers,
        "admin": {"url": system.admin_url, "key": system.admin_key},
        "commands": commands,
    }
    lines = [
        f"servers    {servers}",
        f"running    relay, backfills, workers: {', '.join(system.workers)}",
        f"admin      {system.admin_url}  (key {system.admin_key})",
        *(f"{name:10} {text}" for name, text in commands.items()),
        'elsewhere  eval "$(headwater dev --print-env)"',
    ]
    invocation.out.result("dev", data, text="\n".join(lines))
