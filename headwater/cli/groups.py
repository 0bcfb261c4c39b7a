"""`headwater groups`: how far applications are behind, and who works for them."""

from __future__ import annotations

import click

from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.params import Duration
from headwater.cli.wiring import Wiring
from headwater.delivery.freshness import Standing, stale, standings


@click.group(
    epilog="Examples:  headwater groups list  ·  headwater groups lag crm --max-age 30s",
)
def command() -> None:
    """See how far applications are behind, and who works for them."""


def _read(invocation: Invocation, app: str | None) -> list[Standing]:
    async def work(wiring: Wiring) -> list[Standing]:
        return await standings(wiring.broker, wiring.project.catalogue, app)

    return connected(invocation, work)


@command.command(
    epilog="Examples:  headwater groups lag  ·  headwater groups lag crm --max-age 30s  ·  "
    "headwater --json groups lag crm"
)
@click.argument("app", required=False)
@click.option(
    "--max-age", type=Duration(), metavar="TIME", help="Exit code 1 when something unapplied is older."
)
@click.pass_obj
def lag(invocation: Invocation, app: str | None, max_age: float | None) -> None:
    """Show what is not applied yet: the age of the oldest first, which is always known.

    Exit code 1 when a group is missing, or something is older than --max-age.
    """
    found = _read(invocation, app)
    late = stale(found, float("inf") if max_age is None else max_age)
    columns = ("application", "stream", "oldest (s)", "unread", "pending", "workers", "state")
    rows = [(*_counts(one), "late" if one in late and not one.missing else _state(one)) for one in found]
    data = {"max_age": max_age, "late": len(late), "groups": found}
    invocation.out.result("groups.lag", data, text=Table(columns, rows))
    if late:
        raise SystemExit(1)


def _counts(one: Standing) -> tuple[object, ...]:
    unread = one.entries if one.exact else f">={one.entries}"
    return (one.application, one.stream, one.oldest, unread, one.pending, one.living)


def _state(one: Standing) -> str:
    if one.missing:
        return "missing"
    return "clock went back" if one.clock_behind else "ok"


@command.command("list", epilog="Examples:  headwater groups list  ·  headwater --json groups list")
@click.pass_obj
def listed(invocation: Invocation) -> None:
    """Show every declared group: whether anybody works for it, and since when nobody does."""
    found = _read(invocation, None)
    apps = {one.application: [each for each in found if each.application == one.application] for one in found}
    data = [_summary(app, some) for app, some in apps.items()]
    columns = (
        "application",
        "group",
        "streams",
        "missing",
        "workers",
        "silent (s)",
        "oldest (s)",
        "unapplied",
    )
    rows = [tuple(one.values()) for one in data]
    invocation.out.result("groups.list", {"groups": data}, text=Table(columns, rows))


def _summary(app: str, some: list[Standing]) -> dict[str, object]:
    heard = [one.silent for one in some if one.silent is not None]
    return {
        "application": app,
        "group": some[0].group,
        "streams": len(some),
        "missing": sum(one.missing for one in some),
        "living": max(one.living for one in some),
        "silent": min(heard, default=None),
        "oldest": max(one.oldest for one in some),
        "unapplied": sum(one.entries + one.pending for one in some),
    }
