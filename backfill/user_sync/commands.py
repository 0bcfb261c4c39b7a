"""`headwater sync users`: set it up, say everything once, keep it in step, and see whether it is."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from backfill.user_sync import system
from headwater.broker import lag
from headwater.cli.invocation import Invocation
from headwater.cli.jobs import as_data, as_text
from headwater.cli.output import Table, cell
from headwater.cli.readings import backlog
from headwater.database import connect, load
from headwater.replay import Job, Jobs
from producers import accounts
from producers.accounts.examine import Lack, lacks
from producers.accounts.setup import Done, set_up


@click.group(
    "users",
    epilog="Examples:  headwater sync users setup  ·  headwater sync users realtime  ·  "
    "headwater sync users status",
)
def users() -> None:
    """Keep the chat's users as the source's users are."""


@users.command(epilog="Examples:  headwater sync users setup --dry-run  ·  headwater sync users setup")
@click.option("--dry-run", is_flag=True, help="Print what is missing; change nothing.")
@click.pass_obj
def setup(invocation: Invocation, dry_run: bool) -> None:
    """Give the source of users its versions, its doorbell and its indexes; safe to repeat.

    The application that writes there goes on. A doorbell of the existing service is replaced.
    """

    async def work() -> tuple[list[Lack], Done | None]:
        settings = system.settings_of(invocation.settings)
        url = settings.source_url.reveal() if settings.source_url else ""
        connection = await connect(url)
        try:
            before = await lacks(connection, url)
        finally:
            await connection.close()
        return before, None if dry_run else await set_up(url, settings.realm)

    before, done = invocation.run(work())
    data = {"lacked": [one._asdict() for one in before], "dry_run": dry_run, "done": done}
    text: Table | str = Table(("what", "detail"), [(one.what, one.detail) for one in before])
    if done is not None:
        text = (
            f"{len(done.migrations)} migrations, {done.stamped} rows given versions, "
            f"{len(done.indexes)} indexes built; the doorbell rings"
        )
    elif not before:
        text = "nothing is missing"
    invocation.out.result("sync.users.setup", data, text=text)


@users.command(epilog="Examples:  headwater sync users bulk  ·  headwater --json sync users bulk")
@click.pass_obj
def bulk(invocation: Invocation) -> None:
    """Say every user of the source to the chat once, and apply it here; an interrupted one goes on.

    Those who are not active leave the chat by it. May run beside `realtime`.
    """
    from backfill.user_sync.bulk import run_bulk  # noqa: PLC0415 (help needs no servers)

    async def work() -> Job:
        async with system.opened(invocation) as wiring:
            return await run_bulk(wiring, invocation.out)

    job = invocation.run(work())
    invocation.out.result("sync.users.bulk", {"job": as_data(job)}, text=as_text(job))
    if job.state not in {"verified", "partial"}:
        raise SystemExit(1)


@users.command(epilog="Examples:  headwater sync users realtime  ·  headwater -v sync users realtime")
@click.pass_obj
def realtime(invocation: Invocation) -> None:
    """Keep the chat in step until told to stop: at once when the bell rings, by the clock otherwise.

    Serves /health, /status and /metrics. Ctrl-C or SIGTERM lets it finish what it has in hand, for 30 s at
    most, and prints the figures of the run. The first start says every user once.
    """
    from backfill.user_sync.process import Process  # noqa: PLC0415 (help needs no servers)

    told: list[dict[str, Any]] = []

    async def work(stop: asyncio.Event) -> None:
        async with system.opened(invocation) as wiring:
            told.append(await Process(wiring).run(stop))

    invocation.serve(work)
    for one in told:
        lines = [f"{name:28} {cell(value)}" for name, value in one.items() if not isinstance(value, dict)]
        invocation.out.result("sync.users.realtime", one, text="\n".join(lines))


@users.command(epilog="Examples:  headwater sync users status  ·  headwater --json sync users status")
@click.pass_obj
def status(invocation: Invocation) -> None:
    """Show how far sweeps are, how far the chat is behind, and the last bulk sync."""

    async def work() -> dict[str, Any]:
        async with system.opened(invocation) as wiring:
            source = await wiring.open_source()
            row = await source.fetchrow(load(accounts.__file__, "standing"))
            jobs = await Jobs(source).listed(wiring.realm, system.CHAT, limit=1)
            group = wiring.project.catalogue.group(system.CHAT).name
            [stream] = wiring.project.catalogue.keys_of(system.CHAT)
            behind = await lag.lag(wiring.broker, stream, group)
            return {
                "swept_at": row and row["swept_at"],
                "seconds": row and row["seconds"],
                "said": row and row["said"],
                "underway": row and row["underway"],
                "horizon_age": row and row["horizon_age"],
                "outbox": (await backlog(source)).waiting,
                "unapplied": behind and behind.unapplied,
                "workers": behind and behind.living,
                "bulk": as_data(jobs[0]) if jobs else None,
            }

    found = invocation.run(work())
    job = found["bulk"]
    shown = {**found, "bulk": job and f"{job['state']} ({job['id']})"}
    lines = [f"{name:12} {cell(value)}" for name, value in shown.items()]
    invocation.out.result("sync.users.status", found, text="\n".join(lines))
