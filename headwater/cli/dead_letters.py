"""`headwater dead-letters`: look at parked deliveries; replay or discard them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import click
import msgspec

from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table, cell
from headwater.cli.params import confirmed
from headwater.cli.wiring import Wiring
from headwater.database import Database
from headwater.delivery import letters
from headwater.delivery.letters import Filter, Letter
from headwater.errors import HeadwaterError

_STATES = ("parked", "replaying", "waiting", "held", "replayed", "discarded")
_PAGE = 1000
_HEAD = tuple(name for name in Letter.__struct_fields__ if name != "fields")


@click.group(
    epilog="Examples:  headwater dead-letters list crm  ·  headwater dead-letters show crm 17  ·  "
    "headwater dead-letters replay crm --all"
)
def command() -> None:
    """Deliveries that could not be applied, kept in the application's own database."""


async def _sink(wiring: Wiring, name: str) -> tuple[str, Database]:
    app = wiring.project.application(name).app
    wiring.app_url(app)
    return app, (await wiring.open_sinks([app]))[app]


@command.command(
    "list",
    epilog="Examples:  headwater dead-letters list crm  ·  "
    "headwater --json dead-letters list crm --type org.created --limit 20  ·  "
    "headwater dead-letters list crm --state discarded",
)
@click.argument("app")
@click.option("--state", type=click.Choice(_STATES), multiple=True, help="Default: all that are not settled.")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--type", "type_", help="Only of this event type.")
@click.option("--reason", help="Only with this reason.")
@click.option("--before", type=int, metavar="ID", help="Only with a smaller id: the next page.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."
)
@click.pass_obj
def list_(invocation: Invocation, /, **options: Any) -> None:
    """List dead letters, newest first.

    waiting and held ones are of ordered things: held ones wait behind another one, which says how many
    are behind it. They follow by themselves when it is replayed or discarded.
    """
    which = Filter(
        states=options["state"] or letters.OPEN,
        tenant=options["tenant"],
        type=options["type_"],
        reason=options["reason"],
        before=options["before"],
        limit=options["limit"],
    )

    async def work(wiring: Wiring) -> list[Letter]:
        app, database = await _sink(wiring, options["app"])
        return await letters.listed(database, app, which)

    found = connected(invocation, work)
    columns = ("id", "state", "parked", "type", "tenant", "key", "reason", "failures", "behind", "error")
    shown = ("id", "state", "parked_at", "type", "tenant", "key", "reason", "failures", "behind")
    rows = [(*(getattr(one, name) for name in shown), one.error[:80]) for one in found]
    following = found[-1].id if len(found) == which.limit else None
    data = {"dead_letters": [_head(one) for one in found], "next_before": following}
    invocation.out.result("dead-letters.list", data, text=Table(columns, rows) if rows else "no dead letters")
    if following is not None:
        invocation.out.note(f"more: --before {following}")


def _head(letter: Letter) -> dict[str, Any]:
    return {name: getattr(letter, name) for name in _HEAD}


@command.command(
    epilog="Examples:  headwater dead-letters show crm 17  ·  headwater --json dead-letters show crm 17"
)
@click.argument("app")
@click.argument("letter", type=int, metavar="ID")
@click.pass_obj
def show(invocation: Invocation, app: str, letter: int) -> None:
    """Show one dead letter with the fields of its entry; signs that steer a terminal are made visible."""

    async def work(wiring: Wiring) -> Letter:
        name, database = await _sink(wiring, app)
        found = await letters.shown(database, name, letter)
        if found is None:
            raise HeadwaterError(
                f"{name} has no dead letter {letter}", hint=f"headwater dead-letters list {name}"
            )
        return found

    found = connected(invocation, work)
    lines = [f"{name:12} {cell(value)}" for name, value in _head(found).items()]
    lines.append("" if found.fields is not None else "fields       not kept: the entry is too large")
    lines += [f"  {cell(name):16} {cell(value)}" for name, value in (found.fields or {}).items()]
    invocation.out.result("dead-letters.show", msgspec.structs.asdict(found), text="\n".join(lines))


class _Chosen(NamedTuple):
    app: str
    ids: list[int]
    refused: list[int]
    """Asked for by id, but settled, held, or not there."""


async def _choose(
    wiring: Wiring, name: str, ids: Sequence[int], which: Filter | None, states: Sequence[str]
) -> _Chosen:
    app, database = await _sink(wiring, name)
    if which is not None:
        return _Chosen(app, [one.id for one in await _all(database, app, which)], [])
    found = [await letters.shown(database, app, letter) for letter in ids]
    parked = {one.id for one in found if one is not None and one.state in states}
    return _Chosen(app, [one for one in ids if one in parked], [one for one in ids if one not in parked])


async def _all(database: Database, app: str, which: Filter) -> list[Letter]:
    found: list[Letter] = []
    while True:
        before = found[-1].id if found else None
        page = msgspec.structs.replace(which, before=before, limit=_PAGE)
        some = await letters.listed(database, app, page)
        found += some
        if len(some) < _PAGE:
            return found


@command.command(
    epilog="Examples:  headwater dead-letters replay crm 17 18  ·  "
    "headwater dead-letters replay crm --all --reason exhausted --dry-run  ·  "
    "headwater dead-letters replay crm --all --tenant T"
)
@click.argument("app")
@click.argument("ids", nargs=-1, type=int, metavar="[ID...]")
@click.option("--all", "all_", is_flag=True, help="Every parked one that the other options leave.")
@click.option("--type", "type_", help="With --all: only of this event type.")
@click.option("--reason", help="With --all: only with this reason.")
@click.option("--tenant", help="With --all: only this tenant's.")
@click.option("--dry-run", is_flag=True, help="Print what would be replayed; change nothing.")
@click.pass_obj
def replay(invocation: Invocation, /, app: str, ids: tuple[int, ...], dry_run: bool, **filters: Any) -> None:
    """Give dead letters to a worker of their own application again, and to nobody else.

    Exit code 1 when one that was named can not be replayed: settled, or held behind another one.
    """
    narrowed = any(filters[name] for name in ("type_", "reason", "tenant"))
    if bool(ids) == filters["all_"] or (ids and narrowed):
        raise click.UsageError("name ids, or say --all with what narrows it")
    which = Filter(
        states=letters.TRIED, tenant=filters["tenant"], type=filters["type_"], reason=filters["reason"]
    )

    async def work(wiring: Wiring) -> _Chosen:
        chosen = await _choose(wiring, app, ids, which if filters["all_"] else None, letters.TRIED)
        if dry_run:
            return chosen
        done = await letters.replay(wiring.sinks[chosen.app], chosen.app, chosen.ids)
        return _Chosen(chosen.app, done, [*chosen.refused, *(set(chosen.ids) - set(done))])

    _report(invocation, "replay", connected(invocation, work), dry_run=dry_run)


@command.command(
    epilog="Examples:  headwater dead-letters discard crm 17 --note 'entered by hand'  ·  "
    "headwater dead-letters discard crm 17 18 --note duplicate --yes"
)
@click.argument("app")
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
@click.option("--note", required=True, help="Why: it stays with the dead letter.")
@click.option("--dry-run", is_flag=True, help="Print what would be discarded; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def discard(
    invocation: Invocation, app: str, ids: tuple[int, ...], note: str, dry_run: bool, yes: bool
) -> None:
    """Give dead letters up: they stay listed, and are never applied.

    What is held behind one follows. Exit code 1 when one that was named is settled already.
    """
    if not dry_run:
        label = invocation.settings.env_label
        confirmed(f"Discard {len(ids)} dead letters of {app}{f' in {label}' if label else ''}?", yes=yes)

    async def work(wiring: Wiring) -> _Chosen:
        chosen = await _choose(wiring, app, ids, None, (*letters.TRIED, "held"))
        if dry_run:
            return chosen
        done = await letters.discard(wiring.sinks[chosen.app], chosen.app, chosen.ids, note=note)
        return _Chosen(chosen.app, done, [*chosen.refused, *(set(chosen.ids) - set(done))])

    _report(invocation, "discard", connected(invocation, work), dry_run=dry_run)


def _report(invocation: Invocation, verb: str, chosen: _Chosen, *, dry_run: bool) -> None:
    data = {"application": chosen.app, "ids": chosen.ids, "refused": chosen.refused, "dry_run": dry_run}
    done = {"replay": "replaying", "discard": "discarded"}[verb]
    text = f"{f'would {verb}' if dry_run else done} {len(chosen.ids)} dead letters of {chosen.app}"
    if chosen.refused:
        text += f"; refused: {', '.join(map(str, sorted(chosen.refused)))}"
    invocation.out.result(f"dead-letters.{verb}", data, text=text)
    if chosen.refused:
        raise SystemExit(1)
