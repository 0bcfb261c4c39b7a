"""`headwater groups`: how far applications are behind, and who works for them."""

from __future__ import annotations

import click
import msgspec

from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.params import Duration
from headwater.cli.rewind import gaps, rewind
from headwater.cli.wiring import Wiring
from headwater.delivery.freshness import Standing, stale, standings
from headwater.delivery.names import silence
from headwater.delivery.reaping import Place, Pruned, unused
from headwater.delivery.reaping import prune as remove_unused


@click.group(
    epilog="Examples:  headwater groups list  ·  headwater groups lag crm --max-age 30s  ·  "
    "headwater groups prune crm --dry-run",
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

    async def work(wiring: Wiring) -> list[Summary]:
        found = await standings(wiring.broker, wiring.project.catalogue)
        sinks = await wiring.open_sinks(wiring.project.applications)
        seen = {app: await silence(database, app) for app, database in sinks.items()}
        apps = dict.fromkeys(one.application for one in found)
        return [_summary([one for one in found if one.application == app], seen.get(app)) for app in apps]

    found = connected(invocation, work)
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
    rows = [msgspec.structs.astuple(one) for one in found]
    invocation.out.result("groups.list", {"groups": found}, text=Table(columns, rows))


class Summary(msgspec.Struct, frozen=True):
    """One application's group on all its streams."""

    application: str
    group: str
    streams: int
    missing: int
    """Streams where the group does not exist."""
    living: int
    silent: float | None
    """Seconds since a worker was last heard of, on either server; null when none ever was."""
    oldest: float
    unapplied: int


def _summary(some: list[Standing], seen: float | None) -> Summary:
    heard = [one.silent for one in some if one.silent is not None]
    return Summary(
        application=some[0].application,
        group=some[0].group,
        streams=len(some),
        missing=sum(one.missing for one in some),
        living=max(one.living for one in some),
        silent=min([*heard, *([] if seen is None else [seen])], default=None),
        oldest=max(one.oldest for one in some),
        unapplied=sum(one.entries + one.pending for one in some),
    )


@command.command(
    epilog="Examples:  headwater groups prune crm --dry-run  ·  headwater groups prune crm --silent 1h"
)
@click.argument("app")
@click.option(
    "--silent",
    type=Duration(),
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Only names that asked for nothing this long.",
)
@click.option("--dry-run", is_flag=True, help="Print what would go; remove nothing.")
@click.pass_obj
def prune(invocation: Invocation, app: str, silent: float, dry_run: bool) -> None:
    """Remove consumer names that nobody uses. Workers do it too, now and then.

    A name goes when no process holds it, it was silent, and it holds no entry. One that holds entries
    stays until a worker has claimed them.
    """

    async def work(wiring: Wiring) -> list[Pruned]:
        group = wiring.project.catalogue.group(app)
        wiring.app_url(group.app)
        sinks = await wiring.open_sinks([group.app])
        keys = wiring.project.catalogue.keys_of(group.app)
        place = Place(wiring.broker, sinks[group.app], group.app, group.name, tuple(keys))
        return await (unused(place, silent=silent) if dry_run else remove_unused(place, silent=silent))

    found = connected(invocation, work)
    rows = [(one.name, one.streams, one.idle, one.pending, _fate(one, dry_run)) for one in found]
    table = Table(("name", "streams", "idle (s)", "pending", "state"), rows)
    data = {"application": app, "dry_run": dry_run, "names": found}
    invocation.out.result("groups.prune", data, text=table if found else "no unused names")


def _fate(one: Pruned, dry_run: bool) -> str:
    if not one.removed:
        return "holds entries" if one.pending else "in use again"
    if one.put_back or one.lost:
        return f"removed, {one.put_back} put back, {one.lost} lost"
    return "would go" if dry_run else "removed"


command.add_command(rewind)
command.add_command(gaps)
