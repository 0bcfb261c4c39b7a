"""`headwater sync tenant` and `headwater sync tenants`: one tenant now, or all that are asked for."""

from __future__ import annotations

import asyncio
from typing import get_args

import click
import msgspec

from backfill.tenant_sync.routing import Method
from headwater.cli.invocation import Invocation
from headwater.cli.loops import Loops
from headwater.cli.output import Table


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
                    await loops.until(stop)
            made.append(requests.made)

    invocation.serve(work)
    invocation.out.result("sync.tenants", {"made": sum(made)}, text=f"made {sum(made)} syncs")
