"""`headwater conflicts`: what both services edited at once, and whose value it is to be."""

from __future__ import annotations

import click

from backfill.customer_sync.system import Sides, opened
from consumers.customer_records.meeting import SIDES, Side
from consumers.customer_records.store import Compared, Open
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table


@click.command("list", epilog="Examples:  headwater conflicts list  ·  headwater --json conflicts list")
@click.pass_obj
def listed(invocation: Invocation) -> int:
    """List conflicts that wait for somebody; e-mail is not shown. Ends with 1 when there is one."""

    async def work() -> dict[Side, list[Open]]:
        async with opened(invocation) as wiring:
            sides = Sides(wiring)
            return {side: await (await sides.records(side)).store.conflicts() for side in sides.here}

    found = invocation.run(work())
    rows = [
        (side, one.id, ", ".join(one.clashes), one.mine, one.theirs, one.found_at)
        for side, some in found.items()
        for one in some
    ]
    head = ("side", "record", "fields", "name here", "name there", "found")
    invocation.out.result("conflicts.list", {"sides": found}, text=Table(head, rows))
    return int(bool(rows))


@click.command(epilog="Examples:  headwater conflicts show c1 --side auth")
@click.argument("record", metavar="ID")
@click.option("--side", type=click.Choice(list(SIDES)), required=True, help="In whose database.")
@click.pass_obj
def show(invocation: Invocation, record: str, side: Side) -> int:
    """Show both copies of a conflict; of e-mail only whether it differs. Ends with 1 when there is none."""

    async def work() -> Compared | None:
        async with opened(invocation) as wiring:
            return await (await Sides(wiring).records(side)).store.conflict(record)

    found = invocation.run(work())
    text = _compared(found) if found else f"{record} has no open conflict"
    invocation.out.result("conflicts.show", {"record": record, "conflict": found}, text=text)
    return int(found is None)


def _compared(one: Compared) -> Table:
    return Table(
        ("", "here", "there"),
        [
            ("name", one.mine.name, one.theirs.name),
            ("e-mail", *(("same", "same") if one.same_email else ("one", "another"))),
            ("edits of auth", one.mine.edits.auth, one.theirs.edits.auth),
            ("edits of customer", one.mine.edits.customer, one.theirs.edits.customer),
            ("deleted", *("yes" if copy.deleted else "no" for copy in (one.mine, one.theirs))),
        ],
    )


@click.command(epilog="Examples:  headwater conflicts resolve c1 --side auth --prefer customer --dry-run")
@click.argument("record", metavar="ID")
@click.option("--side", type=click.Choice(list(SIDES)), required=True, help="In whose database.")
@click.option("--prefer", type=click.Choice(list(SIDES)), required=True, help="Whose value counts.")
@click.option("--name", help="What it is to be called, whatever both have: an edit of this side.")
@click.option("--dry-run", is_flag=True, help="Look whether it can be done, and write nothing.")
@click.pass_obj
def resolve(
    invocation: Invocation, record: str, side: Side, prefer: Side, name: str | None, *, dry_run: bool
) -> int:
    """Join both copies: fields that clash get one side's value. The other service takes it at the next sync.

    Ends with 1 when the record has no open conflict.
    """

    async def work() -> bool:
        async with opened(invocation) as wiring:
            store = (await Sides(wiring).records(side)).store
            return await store.resolve(record, prefer, name=name, dry_run=dry_run)

    done = invocation.run(work())
    text = f"{record}: {prefer} {'would count' if dry_run else 'counts'}"
    text = text if done else f"{record} has no open conflict"
    told = {"record": record, "resolved": done and not dry_run, "dryRun": dry_run}
    invocation.out.result("conflicts.resolve", told, text=text)
    return int(not done)
