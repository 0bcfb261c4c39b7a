"""`headwater conflicts`: what both services edited at once, and whose value it is to be."""

from __future__ import annotations

import click

from backfill.customer_sync.system import Sides, opened
from consumers.customer_records.meeting import SIDES, Side
from consumers.customer_records.store import Open
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


@click.command(epilog="Examples:  headwater conflicts resolve c1 --side auth --prefer customer")
@click.argument("record", metavar="ID")
@click.option("--side", type=click.Choice(list(SIDES)), required=True, help="In whose database.")
@click.option("--prefer", type=click.Choice(list(SIDES)), required=True, help="Whose value counts.")
@click.pass_obj
def resolve(invocation: Invocation, record: str, side: Side, prefer: Side) -> int:
    """Join both copies: fields that clash get one side's value. The other service takes it at the next sync.

    Ends with 1 when the record has no open conflict.
    """

    async def work() -> bool:
        async with opened(invocation) as wiring:
            return await (await Sides(wiring).records(side)).store.resolve(record, prefer)

    done = invocation.run(work())
    text = f"{record}: {prefer} counts" if done else f"{record} has no open conflict"
    invocation.out.result("conflicts.resolve", {"record": record, "resolved": done}, text=text)
    return int(not done)
