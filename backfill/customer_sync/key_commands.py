"""`headwater keys`: which keys seal e-mail addresses, and how rows come under a new one."""

from __future__ import annotations

import click

from backfill.customer_sync.keys import TABLES, Rotation
from backfill.customer_sync.service import vault_of
from backfill.customer_sync.system import Sides, opened
from consumers.customer_records.meeting import Side
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table


@click.command(epilog="Examples:  headwater keys fingerprint  ·  headwater --json keys fingerprint")
@click.pass_obj
def fingerprint(invocation: Invocation) -> None:
    """Tell which keys are in use, without telling them: both services must say the same.

    The first is the one that seals; the others still open what they sealed.
    """
    vault = vault_of(invocation.settings.customer_sync)
    data = {"key": vault.key.id, "older": vault.older}
    invocation.out.result("keys.fingerprint", data, text="\n".join([vault.key.id, *vault.older]))


@click.command(epilog="Examples:  headwater keys rotate --dry-run  ·  headwater keys rotate")
@click.option("--dry-run", is_flag=True, help="Count what is to be done; write nothing.")
@click.pass_obj
def rotate(invocation: Invocation, dry_run: bool) -> int:
    """Bring stored e-mail under ENCRYPTION_KEY; the key before it stands in customer_sync.older_keys.

    Both services go on: either key reads meanwhile. Cut off, it goes on where it was. Ends with 1 when
    a row does not open; those stay as they are.
    """
    return _sealed_anew(invocation, dry_run=dry_run, upgrade=False)


@click.command(epilog="Examples:  headwater keys upgrade --dry-run  ·  headwater keys upgrade")
@click.option("--dry-run", is_flag=True, help="Count what is to be done; write nothing.")
@click.pass_obj
def upgrade(invocation: Invocation, dry_run: bool) -> int:
    """Write e-mail in the format that names its key and its record; the existing services can not read it.

    As `rotate` otherwise; new databases have that format from the beginning.
    """
    return _sealed_anew(invocation, dry_run=dry_run, upgrade=True)


def _sealed_anew(invocation: Invocation, *, dry_run: bool, upgrade: bool) -> int:
    async def work() -> dict[Side, Rotation]:
        async with opened(invocation) as wiring:
            with invocation.out.progress("rows") as bar:
                return await Sides(wiring).seal_anew(bar.update, dry_run=dry_run, upgrade=upgrade)

    done = invocation.run(work())
    rows = [
        (TABLES[side].name, one.rows, one.changed, one.missed, len(one.broken)) for side, one in done.items()
    ]
    head = ("table", "rows", "to change" if dry_run else "changed", "written meanwhile", "do not open")
    data = {"dry_run": dry_run, "sides": done}
    invocation.out.result(f"keys.{'upgrade' if upgrade else 'rotate'}", data, text=Table(head, rows))
    return int(any(one.broken or one.missed for one in done.values()))
