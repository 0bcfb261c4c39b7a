"""`headwater sync users`: set it up, say everything once, keep it in step, and see whether it is."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import msgspec

from backfill.user_sync import system
from consumers import chat
from headwater.broker import lag
from headwater.cli.invocation import Invocation
from headwater.cli.jobs import as_data, as_text
from headwater.cli.output import Table, cell
from headwater.cli.readings import backlog
from headwater.database import connect, load
from headwater.database.migrate import APP, migrate
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
    """Give the source of users its versions, its doorbell and its indexes, and the chat what is kept there.

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
        if dry_run:
            return before, None
        if there := settings.apps.get(system.CHAT):
            await migrate(there.reveal(), [APP, (system.CHAT, chat.migrations)])
        return before, await set_up(url, settings.realm)

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


@users.command(
    epilog="Examples:  headwater sync users verify  ·  headwater --json sync users verify --tolerance 5"
)
@click.option(
    "--tolerance", type=click.IntRange(min=0), default=0, help="Users that may differ: those in hand."
)
@click.pass_obj
def verify(invocation: Invocation, tolerance: int) -> None:
    """Compare who is active at the source with who is in the chat; exit code 1 when they differ.

    Also finds users whose removal was missed. What is on its way counts: see `status` first.
    """

    async def work() -> chat.Verification:
        async with system.opened(invocation) as wiring:
            return await chat.verify(await wiring.open_source(), await wiring.chat(), tolerance)

    _verified(invocation, invocation.run(work()))


def _verified(invocation: Invocation, found: chat.Verification) -> None:
    data = msgspec.structs.asdict(found)
    lines = [f"{name:18} {cell(value)}" for name, value in data.items() if not name.endswith("_ids")]
    lines += [f"{kind:18} {one}" for kind in ("missing", "extra") for one in data[f"{kind}_ids"][:10]]
    invocation.out.result("sync.users.verify", data, text="\n".join(lines))
    if not found.consistent:
        raise SystemExit(1)


@users.command(
    epilog="Examples:  headwater sync users errors --unresolved  ·  headwater sync users errors --by-type"
)
@click.option("--unresolved", is_flag=True, help="Only those whose user was not applied since.")
@click.option("--by-type", is_flag=True, help="How many of each type.")
@click.option("--type", "kind", type=click.Choice(chat.TYPES), help="Only this type.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Newest first.")
@click.pass_obj
def errors(invocation: Invocation, unresolved: bool, by_type: bool, kind: str | None, limit: int) -> None:
    """List what went wrong, from the chat's table sync_errors."""

    async def work() -> tuple[dict[str, int], list[chat.Problem]]:
        async with system.opened(invocation) as wiring:
            there = await wiring.chat()
            if by_type:
                return await chat.counted(there, unresolved=unresolved), []
            return {}, await chat.listed(there, unresolved=unresolved, kind=kind, limit=limit)

    counts, problems = invocation.run(work())
    table = Table(("type", "errors"), list(counts.items()))
    if not by_type:
        columns = ("id", "created_at", "error_type", "user_id", "retry_count", "resolved", "error_message")
        table = Table(columns, [[getattr(one, name) for name in columns] for one in problems])
    data = {"by_type": counts} if by_type else {"errors": [msgspec.structs.asdict(one) for one in problems]}
    invocation.out.result("sync.users.errors", data, text=table)


@users.command(
    epilog="Examples:  headwater sync users retry  ·  headwater sync users retry --user 7f2c… --user 9a1e…"
)
@click.option("--user", "wanted", multiple=True, help="Only these users; may be repeated.")
@click.pass_obj
def retry(invocation: Invocation, wanted: tuple[str, ...]) -> None:
    """Apply users once more that could not be applied; a running `realtime` does it within seconds."""

    async def work() -> list[int]:
        async with system.opened(invocation) as wiring:
            return await chat.retry(await wiring.chat(), system.CHAT, list(wanted) or None)

    found = invocation.run(work())
    text = f"{len(found)} users are applied again" if found else "nothing is parked"
    invocation.out.result("sync.users.retry", {"letters": found}, text=text)


@users.command(
    "sync-all", epilog="Examples:  headwater sync users sync-all  ·  headwater --json sync users sync-all"
)
@click.pass_obj
def sync_all(invocation: Invocation) -> None:
    """`bulk`, then those leave whom the chat alone has; compares, and ends with 1 when users differ."""
    from backfill.user_sync.bulk import run_all  # noqa: PLC0415 (help needs no servers)

    async def work() -> chat.Verification:
        async with system.opened(invocation) as wiring:
            return await run_all(wiring, invocation.out)

    _verified(invocation, invocation.run(work()))
