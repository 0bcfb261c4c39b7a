"""`headwater reconcile`: do source and application agree, and what differs?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import click

from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.jobs import asked_by
from headwater.cli.output import Table, cell
from headwater.cli.wiring import Wiring
from headwater.errors import JobRefused
from headwater.replay.reconcile import Outcome, Report, Wish, as_data

_KEYS = 10
"""Keys of each kind that are shown to people; JSON has more."""
_ADVICE = {
    "ahead": "the application knows newer versions than the source has: docs/reconcile.md, Ahead",
    "quarantined": "dead letters stand for them: headwater dead-letters list",
    "untracked": "headwater did not write these rows: --fix --remove-untracked removes them",
}


@click.command(
    epilog="Examples:  headwater reconcile crm --tenant T  ·  "
    "headwater reconcile crm --tenant T --level 2 --fix  ·  "
    "headwater reconcile crm --tenant T --subject users --level 2 --sample 5000  ·  "
    "headwater --json reconcile crm --tenant T --state"
)
@click.argument("app")
@click.option("--tenant", required=True, help="Whose rows.")
@click.option("--subject", "subjects", multiple=True, help="Only this subject; may be repeated.")
@click.option(
    "--level",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="1: keys and versions. 2: the content of mapped columns, too.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="At level 2: the content of about N rows of each subject, others each time.",
)
@click.option("--fix", is_flag=True, help="Mend what differs, through the streams and the gate.")
@click.option(
    "--remove-untracked",
    is_flag=True,
    help="With --fix: remove rows, too, that headwater did not write and the source does not have.",
)
@click.option("--state", is_flag=True, help="Show what the last comparisons said; compare nothing.")
@click.pass_obj
def command(invocation: Invocation, /, app: str, tenant: str, state: bool, **asked: Any) -> None:
    """Compare one tenant's rows in the source and in an application, key by key where they differ.

    Exit code 1 when they differ, or it is not known whether they do.
    """
    if asked["sample"] and asked["level"] < 2:
        raise click.UsageError("--sample is about content: add --level 2")
    if asked["remove_untracked"] and not asked["fix"]:
        raise click.UsageError("--remove-untracked goes with --fix")
    if state:
        _state(invocation, app, tenant)
        return
    wish = Wish(**asked, actor=asked_by())

    async def work(wiring: Wiring) -> Report:
        reconciler = await wiring.reconciler()
        try:
            return await reconciler.reconcile(tenant, app, wish)
        except asyncpg.DataError:
            raise click.UsageError(f"{tenant!r} is no tenant id of this source") from None
        except JobRefused as refused:
            if refused.job is not None:
                refused.hint = f"watch it: headwater backfill show {refused.job.id} -w"
            raise

    report = connected(invocation, work)
    invocation.out.result("reconcile", as_data(report), text=as_text(report))
    if not report.agreed:
        raise SystemExit(1)


def _state(invocation: Invocation, app: str, tenant: str) -> None:
    async def work(wiring: Wiring) -> tuple[str, list[dict[str, Any]]]:
        reconciler = await wiring.reconciler()
        name = reconciler.app(app)
        known = await reconciler.known(await reconciler.spelled(tenant, name), name)
        return name, with_unknown(reconciler.subjects(name), known)

    name, rows = connected(invocation, work)
    names = ("subject", "state", "reason", "checked_at", "agreed_at", "source_count", "applied_count")
    columns = [name.removesuffix("_at").replace("_count", "") for name in names]
    shown = [tuple(row[name] for name in names) for row in rows]
    data = {"tenant": tenant, "application": name, "subjects": rows}
    invocation.out.result("reconcile.state", data, text=Table(columns, shown))
    if not rows or any(row["state"] != "agreed" for row in rows):
        raise SystemExit(1)


def with_unknown(subjects: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is known, and that nothing is of subjects that were never compared. Pure."""
    known = {row["subject"] for row in rows}
    empty = dict.fromkeys(("checked_at", "agreed_at", "source_count", "applied_count"))
    never = {"state": "unknown", "reason": "never compared", **empty}
    return [*rows, *({"subject": one, **never} for one in subjects if one not in known)]


def as_text(report: Report) -> str:
    """A report for people. Pure."""
    counts = ("source", "applied", "content", "said again", "removed", "seconds")
    columns = ("subject", "state", *counts, "differ")
    rows = [_row(one) for one in report.outcomes]
    lines = [line for one in report.outcomes for line in _keys(one)]
    return "\n".join([Table(columns, rows).plain(), *lines])


def _row(one: Outcome) -> Sequence[object]:
    last = one.left or one.found
    return (
        *(one.subject, one.state, last.source_count, last.applied_count, one.found.content_compared),
        *(one.said, one.removed, one.found.seconds, one.reason or "-"),
    )


def _keys(one: Outcome) -> list[str]:
    last = one.left or one.found
    lines = []
    for how, keys in last.keys.items():
        more = f" and {last.kinds[how] - _KEYS} more" if last.kinds[how] > _KEYS else ""
        lines.append(f"{one.subject} {how}: {', '.join(map(cell, keys[:_KEYS]))}{more}")
        if how in _ADVICE:
            lines.append(f"  {_ADVICE[how]}")
    lines += [
        f"{one.subject} {cell(key)} can not be said: {why}" for key, why in list(one.refused.items())[:_KEYS]
    ]
    return lines
