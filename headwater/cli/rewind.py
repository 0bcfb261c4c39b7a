"""`headwater groups rewind` and `headwater groups gaps`: read again, and what was lost."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import click
import msgspec

from headwater.broker import EntryId
from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.params import confirmed
from headwater.cli.wiring import Wiring
from headwater.config import duration
from headwater.delivery import gaps as kept
from headwater.delivery import rewinding
from headwater.delivery.gaps import Recorded
from headwater.delivery.rewinding import Goal, Step
from headwater.errors import HeadwaterError

_ID = re.compile(r"\d{1,19}-\d{1,19}")


class Target(click.ParamType[Goal]):
    """An entry's id, a time with its zone (ISO 8601), or how long ago: 15m, 2h, 7d."""

    name = "id|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Goal:
        """The id, the aware instant, or seconds."""
        if not isinstance(value, str):
            self.fail(f"{value!r} is no text", param, ctx)
        if _ID.fullmatch(value):
            return EntryId.parse(value)
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            return self._ago(value, param, ctx)
        if when.tzinfo is None:
            self.fail(f"{value!r} has no zone: write {value}Z", param, ctx)
        return when

    def _ago(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = duration(value) if value[-1:].isalpha() else -1.0
        except (ValueError, OverflowError):
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is no entry's id, no ISO 8601 time, and no duration like 15m", param, ctx)
        return seconds


@click.command(
    epilog="Examples:  headwater groups rewind crm --to 2h --dry-run  ·  "
    "headwater groups rewind crm --to 2026-11-22T20:00:00Z --yes  ·  "
    "headwater groups rewind crm --to 1763840000000-0 --stream events:org --yes"
)
@click.argument("app")
@click.option("--to", "goal", type=Target(), required=True, help="After this entry, or from this time on.")
@click.option("--stream", metavar="KEY", help="Only this stream of the application.")
@click.option("--dry-run", is_flag=True, help="Print what would be read again; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rewind(
    invocation: Invocation, app: str, goal: Goal, stream: str | None, dry_run: bool, yes: bool
) -> None:
    """Let an application read entries again, for instance after its database was restored.

    Harmless for what is applied already: ledger and inbox drop it. What is pending stays pending.
    Times are the Redis server's. A group only goes back: where it is behind already, it stays.
    """
    if not dry_run:
        label = invocation.settings.env_label
        confirmed(f"Let {app} read entries again{f' in {label}' if label else ''}?", yes=yes)

    async def work(wiring: Wiring) -> list[Step]:
        group = wiring.project.catalogue.group(app)
        keys = list(wiring.project.catalogue.keys_of(group.app))
        if stream is not None and stream not in keys:
            raise HeadwaterError(f"{stream} is no stream of {app}", hint=f"headwater groups lag {app}")
        found = await rewinding.steps(wiring.broker, keys if stream is None else [stream], group.name, goal)
        if not dry_run:
            found = await rewinding.rewind(wiring.broker, group.name, found)
        return found

    found = connected(invocation, work)
    rows = [(one.stream, one.since, one.to, one.entries, "yes" if one.whole else "no") for one in found]
    data = {"application": app, "dry_run": dry_run, "streams": found}
    table = Table(("stream", "from", "to", "read again", "all still there"), rows)
    invocation.out.result("groups.rewind", data, text=table)


@click.command(
    epilog="Examples:  headwater groups gaps  ·  headwater --json groups gaps crm --all  ·  "
    "headwater groups gaps crm --close 7 --note 'compared, in step'"
)
@click.argument("app", required=False)
@click.option("--all", "all_", is_flag=True, help="Closed ones too.")
@click.option("--close", "gap", type=int, metavar="ID", help="Close this one by hand.")
@click.option("--note", help="With --close: why. It stays with the gap.")
@click.pass_obj
def gaps(invocation: Invocation, app: str | None, all_: bool, gap: int | None, note: str | None) -> None:
    """List what was lost on its way, newest first; or close a gap by hand.

    Exit code 1 when a gap is open.
    """
    if (gap is None) != (note is None) or (gap is not None and (app is None or all_)):
        raise click.UsageError("to close a gap, name the application, --close and --note")
    if gap is not None and app is not None:
        _close(invocation, app, gap, str(note))
        return

    async def work(wiring: Wiring) -> dict[str, list[Recorded]]:
        project = wiring.project
        names = list(project.applications) if app is None else [project.application(app).app]
        sinks = await wiring.open_sinks(names)
        return {name: await kept.listed(sink, name, closed=all_) for name, sink in sinks.items()}

    _show(invocation, connected(invocation, work))


def _show(invocation: Invocation, found: dict[str, list[Recorded]]) -> None:
    columns = (
        "application",
        "id",
        "state",
        "kind",
        "stream",
        "entries",
        "since",
        "until",
        "detected",
        "repair",
    )
    rows = [_row(app, one) for app, some in found.items() for one in some]
    data = [
        {"application": app, **msgspec.structs.asdict(one)} for app, some in found.items() for one in some
    ]
    still = sum(one["state"] == "open" for one in data)
    text = Table(columns, rows) if rows else "no gaps"
    invocation.out.result("groups.gaps", {"open": still, "gaps": data}, text=text)
    for app, some in found.items():
        if typed := kept.remedy(app, some):
            invocation.out.note(f"say again what {app} misses: {typed}")
    if still:
        raise SystemExit(1)


def _row(app: str, one: Recorded) -> tuple[Any, ...]:
    how = " ".join(filter(None, (one.repair, one.repaired_by, one.note)))
    where = (one.stream, one.entries, one.since, one.upto)
    return (app, one.id, one.state, one.kind, *where, one.detected_at, how)


def _close(invocation: Invocation, app: str, gap: int, note: str) -> None:
    async def work(wiring: Wiring) -> bool:
        name = wiring.project.application(app).app
        wiring.app_url(name)
        return await kept.close((await wiring.open_sinks([name]))[name], name, gap, note)

    if not connected(invocation, work):
        raise HeadwaterError(
            f"{app} has no gap {gap} that is open", hint=f"headwater groups gaps {app} --all"
        )
    data = {"application": app, "id": gap, "note": note}
    invocation.out.result("groups.closed", data, text=f"closed gap {gap} of {app}")
