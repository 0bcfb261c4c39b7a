"""`headwater streams`: declared streams and groups, compared with Redis."""

from __future__ import annotations

from typing import Any

import click

from headwater.broker import provision
from headwater.broker.provision import Drift
from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.readings import Reading, readings
from headwater.cli.retention import trim
from headwater.cli.wiring import Wiring


@click.group(
    epilog="Examples:  headwater streams plan  ·  headwater streams apply  ·  headwater streams status  ·  "
    "headwater streams trim --dry-run"
)
def command() -> None:
    """Compare declared streams and groups with Redis, create them, see how they do, trim them."""


command.add_command(trim)


async def _compare(wiring: Wiring) -> list[Drift]:
    return await provision.compare(wiring.broker, wiring.project.catalogue)


def _rows(drift: list[Drift]) -> list[dict[str, Any]]:
    return [one._asdict() for one in drift]


def _table(drift: list[Drift], empty: str) -> Table | str:
    return Table(("stream", "group", "state"), drift) if drift else empty


@command.command(epilog="Examples:  headwater streams plan  ·  headwater --json streams plan")
@click.pass_obj
def plan(invocation: Invocation) -> None:
    """Print every difference; exit code 1 when there is one."""
    drift = connected(invocation, _compare)
    text = _table(drift, "Redis has what is declared")
    invocation.out.result("streams.plan", {"drift": _rows(drift)}, text=text)
    if drift:
        raise SystemExit(1)


@command.command(epilog="Examples:  headwater streams apply --dry-run  ·  headwater streams apply")
@click.option("--dry-run", is_flag=True, help="Print what would be created; create nothing.")
@click.pass_obj
def apply(invocation: Invocation, dry_run: bool) -> None:
    """Create missing streams and groups, at the earliest entry; remove nothing."""

    async def work(wiring: Wiring) -> list[Drift]:
        if not dry_run:
            return await provision.apply(wiring.broker, wiring.project.catalogue)
        return [one for one in await _compare(wiring) if one.state != "undeclared_group"]

    created = connected(invocation, work)
    data = {"created": _rows(created), "dry_run": dry_run}
    invocation.out.result("streams.apply", data, text=_table(created, "nothing to create"))


@command.command(epilog="Examples:  headwater streams status  ·  headwater --json streams status --app crm")
@click.option("--app", help="Only the group of this application.")
@click.pass_obj
def status(invocation: Invocation, app: str | None) -> None:
    """Show how far every group is: lag in seconds first, which is always known."""

    async def work(wiring: Wiring) -> list[Reading]:
        catalogue = wiring.project.catalogue
        wanted = catalogue.group(app).app if app else None
        return [one for one in await readings(wiring.broker, catalogue) if wanted in {None, one.application}]

    found = connected(invocation, work)
    columns = ("stream", "group", "length", "lag (s)", "lag (entries)", "pending", "workers", "oldest (s)")
    rows = [
        (
            *(one.stream, one.group, one.length, one.lag_seconds),
            one.lag_entries if one.exact else f">={one.lag_entries}",
            *(one.pending, one.consumers, one.oldest_entry),
        )
        for one in found
    ]
    invocation.out.result("streams.status", {"streams": found}, text=Table(columns, rows))
