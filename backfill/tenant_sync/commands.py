"""`headwater sync tenant` and `headwater sync tenants`: one tenant now, or all that are asked for."""

from __future__ import annotations

import asyncio
from typing import get_args

import click
import msgspec

from backfill.tenant_sync.routing import Method
from headwater.cli.connected import opened
from headwater.cli.invocation import Invocation
from headwater.cli.jobs import asked_by
from headwater.cli.loops import Loops
from headwater.cli.output import Table
from headwater.database import Row


@click.command(
    epilog="Examples:  headwater sync tenant T  ·  headwater sync tenant T --force  ·  "
    "headwater --json sync tenant T --method direct"
)
@click.argument("tenant")
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default="auto",
    show_default=True,
    help="How, where it has to be made: auto is what the settings say for this tenant.",
)
@click.option("--force", is_flag=True, help="Read all of it again, also where it is there.")
@click.pass_obj
def tenant(invocation: Invocation, tenant: str, method: Method, force: bool) -> None:
    """Bring one tenant of the CRM up to date, as its next login would, and wait for all of it.

    Exit code 1 where something of it failed.
    """
    from backfill.tenant_sync import system  # noqa: PLC0415 (help needs no servers)
    from backfill.tenant_sync.result import SyncResult  # noqa: PLC0415

    async def work() -> SyncResult:
        async with system.opened(invocation) as own:
            first = await own.syncs.ensure_tenant_sync(
                tenant, force=force, triggered_by="command", method=method
            )
            if not first.success:
                return first
            whole = await own.syncs.settled(tenant) or first
            mine = ("already_synced", "joined", "temporal_error", "workflow_id", "run_id")
            return msgspec.structs.replace(whole, **{name: getattr(first, name) for name in mine})

    result = invocation.run(work())
    columns = ("collection", "status", "fetched", "stored", "skipped", "failed", "gone", "why")
    rows = [
        (name, one["status"], *(one[column] for column in columns[2:7]), one["error"] or "-")
        for name, one in result.collections.items()
    ]
    way = result.sync_method + (" after Temporal" if result.fallback_used else "")
    told = f"{result.status} in {result.duration} ms, {way} ({result.correlation_id})"
    if result.error:
        told += f"\n{result.error_type}: {result.error}\n{result.action}"
    text = "\n".join([*([Table(columns, rows).plain()] if rows else []), told])
    invocation.out.result("sync.tenant", msgspec.to_builtins(result), text=text)
    if not result.success or result.has_failed_collections:
        raise SystemExit(1)


@click.command(epilog="Examples:  headwater sync tenants  ·  headwater sync tenants --once")
@click.option("--once", is_flag=True, help="End when nothing is due.")
@click.pass_obj
def tenants(invocation: Invocation, once: bool) -> None:
    """Make the syncs that `tenant.sync.required` asked for, that a process left, and that are due again.

    Any number of processes may. Ctrl-C or SIGTERM ends it; what it has in hand is taken up by another.
    """
    from backfill.tenant_sync import system  # noqa: PLC0415 (help needs no servers)
    from backfill.tenant_sync.requests import Requests  # noqa: PLC0415
    from backfill.tenant_sync.upkeep import Upkeep  # noqa: PLC0415 (the same)

    made: list[int] = []

    async def work(stop: asyncio.Event) -> None:
        async with system.opened(invocation) as own:
            requests = Requests(own.database, own.syncs)
            if once:
                while not stop.is_set() and await requests.one_look():
                    continue
            else:
                async with Loops() as loops:
                    loops.start("tenant syncs", requests.run(), requests.stop)
                    upkeep = Upkeep(own.database)
                    loops.start("upkeep", upkeep.run(), upkeep.stop)
                    await loops.until(stop)
            made.append(requests.made)

    invocation.serve(work)
    invocation.out.result("sync.tenants", {"made": sum(made)}, text=f"made {sum(made)} syncs")


@click.command(
    epilog="Examples:  headwater sync cleanup --dry-run  ·  headwater sync cleanup  ·  "
    "headwater sync cleanup --older-than 60"
)
@click.option(
    "--older-than",
    type=click.FloatRange(0, 86_400),
    default=600.0,
    show_default=True,
    help="Seconds for which a run must have been stuck.",
)
@click.option("--dry-run", is_flag=True, help="Print what is stuck; end nothing.")
@click.pass_obj
def cleanup(invocation: Invocation, older_than: float, dry_run: bool) -> None:
    """End tenant syncs whose process is gone and that nobody took over: they are failed, and due again.

    `headwater admin` and `headwater sync tenants` do so every five minutes by themselves.
    """
    from backfill.tenant_sync.upkeep import Upkeep  # noqa: PLC0415 (help needs no servers)
    from consumers.crm import crm  # noqa: PLC0415 (the same)

    async def work() -> list[Row]:
        async with opened(invocation) as wiring:
            wiring.app_url(crm.app)
            upkeep = Upkeep((await wiring.open_sinks([crm.app]))[crm.app])
            if dry_run:
                return await upkeep.stuck(older_than)
            return await upkeep.clean_up(asked_by(), older_than)

    rows = invocation.run(work())
    columns = ("tenant", "correlation", "holder", "seconds")
    shown = [tuple(row[name] for name in columns) for row in rows]
    text: Table | str = Table(columns, shown) if rows else "nothing is stuck"
    cleaned = [dict(row) for row in rows]
    invocation.out.result("sync.cleanup", {"stuck": cleaned, "dry_run": dry_run}, text=text)
