"""`headwater relay republish`: say again what Redis lost, from the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click
import msgspec

from headwater.broker import EntryId
from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.params import confirmed
from headwater.cli.rewind import Target
from headwater.cli.wiring import Wiring
from headwater.database import Connection
from headwater.delivery.rewinding import Goal
from headwater.errors import HeadwaterError
from headwater.publish import Republisher
from headwater.publish.republish import Plan, Run
from headwater.publish.span import EVER, Between, Span, kept, published_since


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    since: Goal
    until: Goal | None
    app: str | None
    stream: str | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed."""

    run: int | None
    dry_run: bool
    since: datetime | None
    """Rows published from then on; null for all."""
    until: datetime
    rows: int
    entries: dict[str, int]
    """By stream."""
    skipped: int
    refused: int
    removed_until: datetime | None
    """Rows published up to then may be gone from the outbox."""
    complete: bool
    """Whether the outbox still has everything of that time, and Redis took all of it."""
    gaps: int
    """Gaps that this repairs: so many streams of applications."""


@click.command(
    epilog="Examples:  headwater relay republish --since 2h --dry-run  ·  "
    "headwater relay republish --since 1763840000000-0 --app crm --yes  ·  "
    "headwater relay republish --resume 7 --yes"
)
@click.option("--since", type=Target(), help="What was published from then on, or went out above this entry.")
@click.option("--until", type=Target(), help="And not later, or not above this entry; default: now.")
@click.option("--app", metavar="APP", help="Only the streams that this application reads.")
@click.option("--stream", metavar="KEY", help="Only this stream.")
@click.option("--resume", type=int, metavar="ID", help="Go on with a run that was ended early.")
@click.option("--dry-run", is_flag=True, help="Print what would be said again; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, and say what is left when the outbox lacks the rest.")
@click.pass_obj
def republish(invocation: Invocation, /, **options: Any) -> None:
    """Say events again that Redis lost, from the rows that the outbox keeps.

    Harmless for what was applied: ids and versions are those of before, and the gates drop them. An event
    goes again only where it went then. Open gaps that are covered are answered, and close once it is applied.
    Exit code 1 when the outbox does not have all of that time any more, or Redis refused something.
    """
    wish = Wish(since=options["since"], until=options["until"], app=options["app"], stream=options["stream"])
    resume, dry_run, yes = options["resume"], options["dry_run"], options["yes"]
    _check(wish, resume, dry_run=dry_run)
    if not dry_run:
        label = invocation.settings.env_label
        confirmed(f"Say events again{f' in {label}' if label else ''}?", yes=yes)

    async def work(wiring: Wiring) -> Told:
        republisher = wiring.republisher()
        async with republisher.session() as connection:
            if resume is not None:
                return await _resumed(republisher, connection, resume)
            span = _span(wish, wiring, await republisher.now(connection))
            plan = await republisher.plan(connection, span)
            if dry_run:
                return await _counted(republisher, connection, span, plan)
            if not kept(span.since, plan.removed) and not yes:
                raise HeadwaterError(
                    _lacking(plan), hint="headwater backfill start; or say the rest with --yes"
                )
            return await _said(invocation, republisher, connection, wish, span, plan)

    _show(invocation, connected(invocation, work))


def _check(wish: Wish, resume: int | None, *, dry_run: bool) -> None:
    if (resume is None) == (wish.since is None):
        raise click.UsageError("say --since, or --resume with the number of a run")
    if resume is not None and (dry_run or wish.until is not None or wish.app or wish.stream):
        raise click.UsageError("a run goes on with what it was begun with: --resume takes nothing but --yes")


def _span(wish: Wish, wiring: Wiring, now: datetime) -> Span:
    if wish.since is None:
        raise click.UsageError("say --since")
    above, since = _bound(wish.since, now)
    # Fixed here: what the relay moves from now on needs no second time.
    upto, until = ("", now) if wish.until is None else _bound(wish.until, now)
    if upto:
        until = now
    if min(until, now) < since:
        raise click.UsageError("--until is before --since")
    streams = {stream: Between(above, upto) for stream in _streams(wish, wiring)}
    return Span(streams=streams, since=since, until=min(until, now))


def _bound(goal: Goal, now: datetime) -> tuple[str, datetime]:
    if isinstance(goal, EntryId):
        return str(goal), published_since(goal)
    if isinstance(goal, datetime):
        return "", goal
    try:
        return "", now - timedelta(seconds=goal)
    except OverflowError:
        return "", EVER


def _streams(wish: Wish, wiring: Wiring) -> list[str]:
    catalogue = wiring.project.catalogue
    keys: Sequence[str] = catalogue.written_keys()
    if wish.app is not None:
        keys = list(catalogue.keys_of(catalogue.group(wish.app).app))
    if wish.stream is None:
        return list(keys)
    if wish.stream not in keys:
        raise HeadwaterError(
            f"{wish.stream} is no stream of {wish.app or 'this project'}", hint="headwater streams status"
        )
    return [wish.stream]


async def _counted(republisher: Republisher, connection: Connection, span: Span, plan: Plan) -> Told:
    entries = await republisher.counted(connection, span, plan)
    gaps = await republisher.covered(connection, span, plan)
    return Told(
        run=None,
        dry_run=True,
        since=None if span.since == EVER else span.since,
        until=span.until,
        rows=plan.rows,
        entries=entries,
        skipped=0,
        refused=0,
        removed_until=plan.removed,
        complete=kept(span.since, plan.removed),
        gaps=len(gaps),
    )


async def _said(
    invocation: Invocation,
    republisher: Republisher,
    connection: Connection,
    wish: Wish,
    span: Span,
    plan: Plan,
) -> Told:
    await republisher.alone(connection)
    before = await republisher.unfinished(connection, "command")
    if before is not None:
        invocation.out.note(f"republish {before} was not taken to its end: --resume {before}")
    # Up to another time than now, what a gap misses may lie behind it.
    asked = await republisher.covered(connection, span, plan) if wish.until is None else []
    run = await republisher.begin(connection, span, plan, by="command", asked=asked)
    invocation.out.note(f"republish {run.id} of {plan.rows} rows; if it is ended: --resume {run.id}")
    return _told(await republisher.go(connection, run), plan)


async def _resumed(republisher: Republisher, connection: Connection, number: int) -> Told:
    await republisher.alone(connection)
    run = await republisher.find(connection, number)
    if run.state != "running":
        raise HeadwaterError(f"republish {number} has ended", hint="begin another with --since")
    plan = await republisher.plan(connection, run.span)
    return _told(await republisher.go(connection, run), plan)


def _told(run: Run, plan: Plan) -> Told:
    progress = run.progress
    return Told(
        run=run.id,
        dry_run=False,
        since=None if run.span.since == EVER else run.span.since,
        until=run.span.until,
        rows=progress.rows,
        entries={stream: reach.entries for stream, reach in progress.reached.items()},
        skipped=progress.skipped,
        refused=progress.refused,
        removed_until=plan.removed,
        complete=kept(run.span.since, plan.removed) and not progress.refused,
        gaps=len(run.answered),
    )


def _lacking(plan: Plan) -> str:
    return f"rows published until {plan.removed} were removed from the outbox: they can not be said again"


def _show(invocation: Invocation, told: Told) -> None:
    said = "would be said again" if told.dry_run else "said again"
    title = f"{told.rows} rows {said}, {told.skipped} not wanted, {told.refused} refused, {told.gaps} gaps"
    table = Table(("stream", "entries"), sorted(told.entries.items()), title=title)
    invocation.out.result("relay.republish", msgspec.structs.asdict(told), text=table)
    if told.removed_until is not None and not told.complete:
        invocation.out.note(f"rows published until {told.removed_until} were removed from the outbox before")
    if not told.dry_run and not told.complete:
        raise SystemExit(1)
