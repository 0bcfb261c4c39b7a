"""`headwater streams trim` and `headwater db gc`: remove what is old and nobody needs."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.params import confirmed
from headwater.cli.wiring import Wiring
from headwater.config import duration
from headwater.errors import HeadwaterError
from headwater.retention import Collector, Ground, Keep, Swept, Trimmed, Trims, alone, kept
from headwater.retention import trim as trim_streams
from headwater.topology import Catalogue

_BYTES = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
"""As Redis counts them."""


class Keeping(click.ParamType[Keep]):
    """How much of a stream to keep: an age (7d), the newest so many entries (100000) or bytes (500mb)."""

    name = "age|entries|bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Keep:
        """One of the three."""
        if isinstance(value, Keep):
            return value
        if value.isdigit():
            return Keep(None, int(value))
        number, unit = value[:-2], value[-2:].lower()
        if number.isdigit() and unit in _BYTES:
            return Keep(size=int(number) * _BYTES[unit])
        try:
            return Keep(duration(value))
        except (ValueError, OverflowError):
            what = "a duration like 7d, a number of entries, or bytes like 500mb"
            self.fail(f"{value!r} is none of: {what}", param, ctx)


@click.command(
    epilog="Examples:  headwater streams trim --dry-run  ·  headwater streams trim  ·  "
    "headwater streams trim --stream credit-events --keep 3d  ·  "
    "headwater streams trim --keep 500mb --dry-run  ·  "
    "headwater streams trim --stream credit-events --most 1000000 --yes"
)
@click.option("--stream", metavar="NAME", help="Only this one: its key, or the name of its family.")
@click.option("--keep", type=Keeping(), help="Instead of the retention: 7d, so many entries, or 500mb.")
@click.option(
    "--most",
    type=click.IntRange(0),
    metavar="N",
    help="No more than so many entries stay, even if a group lacks what goes: recorded as its gap.",
)
@click.option("--dry-run", is_flag=True, help="Print what would go; remove nothing.")
@click.option("--yes", is_flag=True, help="With --most: do not ask.")
@click.pass_obj
def trim(
    invocation: Invocation, stream: str | None, keep: Keep | None, most: int | None, dry_run: bool, yes: bool
) -> None:
    """Remove entries that are older than their retention and applied by every group that holds the stream.

    A group holds what it has not applied while somebody works for it, and for a lease after that
    (retention.group_lease). What it lacks when entries go later is counted and recorded as a gap.
    """
    if most is not None and not dry_run:
        confirmed("Remove entries that groups may not have read?", yes=yes)

    async def work(wiring: Wiring) -> Trims:
        ground = await wiring.ground()
        found = kept(ground.catalogue, wiring.settings.retention)
        keeps = {name: _kept(one, keep, most) for name, one in found.items()}
        keys = _keys(ground.catalogue, stream)
        async with alone(wiring.source_url):
            return await trim_streams(ground, keeps, wiring.leases, only=keys, dry=dry_run)

    done = connected(invocation, work)
    rows = [_row(one) for one in done.streams if stream is not None or one.length]
    columns = (
        "stream",
        "entries",
        "bytes",
        "would go" if dry_run else "removed",
        "held by",
        "passed over",
        "lost",
    )
    silent = {name: one for name, one in done.groups.items() if not one.holds}
    for name, one in silent.items():
        invocation.out.note(f"{name} holds nothing any more: nobody worked for it for {one.silent:.0f} s")
    data = {
        "dry_run": dry_run,
        "streams": done.streams,
        "groups": [{"group": name, **one._asdict()} for name, one in done.groups.items()],
    }
    invocation.out.result(
        "streams.trim", data, text=Table(columns, rows) if rows else "no stream has entries"
    )


def _kept(declared: Keep, keep: Keep | None, most: int | None) -> Keep:
    wanted = declared if keep is None else keep._replace(most=declared.most)
    return wanted if most is None else wanted._replace(most=most)


def _keys(catalogue: Catalogue, wanted: str | None) -> list[str] | None:
    if wanted is None:
        return None
    found = [key for key, (one, _) in catalogue.all_keys().items() if wanted in {key, one.name}]
    if not found:
        raise HeadwaterError(f"no stream is declared as {wanted!r}", hint="headwater streams status")
    return found


def _row(one: Trimmed) -> tuple[Any, ...]:
    lost = ", ".join(f"{group} {count}" for group, count in one.lost.items())
    gone = one.removed if one.exact else f">={one.removed}"
    used = "" if one.bytes is None else one.bytes
    return (one.stream, one.length, used, gone, ", ".join(one.held_by), ", ".join(one.passed_over), lost)


@click.command(
    "gc",
    epilog="Examples:  headwater db gc --dry-run  ·  headwater db gc  ·  headwater db gc --database crm  ·  "
    "headwater --json db gc --dry-run",
)
@click.option("--database", "only", metavar="NAME", help="Only of this one: source, or an application.")
@click.option("--dry-run", is_flag=True, help="Count what would go; remove nothing.")
@click.pass_obj
def collect(invocation: Invocation, only: str | None, dry_run: bool) -> None:
    """Remove rows that are older than their retention and that nobody can need any more.

    Marks of deleted things and of handled events stay while an older copy can still arrive: from the
    outbox, a stream, a dead letter or a backfill. Each line says before when, and what holds the rest.
    """

    async def work(wiring: Wiring) -> list[Swept]:
        ground = await wiring.ground()
        names = _databases(ground, only)
        collector = Collector(ground, wiring.settings.retention, dry=dry_run)
        async with alone(wiring.source_url):
            found = []
            for name in names:
                some = collector.source() if name == "source" else collector.application(name)
                found += await some
            return found

    swept = connected(invocation, work)
    rows = [(one.database, one.table, one.removed, one.before, one.held_by) for one in swept]
    columns = ("database", "table", "would go" if dry_run else "removed", "before", "held by")
    data = {"dry_run": dry_run, "tables": swept}
    invocation.out.result("db.gc", data, text=Table(columns, rows))


def _databases(ground: Ground, only: str | None) -> list[str]:
    names = ["source", *sorted(ground.sinks)]
    if only is not None and only not in names:
        raise HeadwaterError(f"no database is named {only!r} here", hint=f"there are: {', '.join(names)}")
    return names if only is None else [only]
