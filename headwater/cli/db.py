"""`headwater db`: bring the databases' schemas up to date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from headwater.cli.attachment import Attachment, attachments
from headwater.cli.connected import connected
from headwater.cli.databases import Place, declared, migrate_all, missing, places, statuses
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.project import find
from headwater.cli.retention import collect
from headwater.cli.wiring import Wiring
from headwater.database import connect
from headwater.database.attach import Attached, attach
from headwater.database.migrate import read
from headwater.errors import HeadwaterError


@click.group(
    epilog="Examples:  headwater db migrate  ·  headwater db status  ·  headwater db attach  ·  "
    "headwater db gc --dry-run"
)
def command() -> None:
    """Headwater's tables in the source and in every application's database."""


command.add_command(collect)


def _places(wiring: Wiring) -> list[Place]:
    return places(wiring.project, wiring.settings)


def _unnamed(invocation: Invocation, wiring: Wiring) -> None:
    named = {place.name for place in _places(wiring)}
    for name in ("source", *wiring.project.applications):
        if name not in named:
            invocation.out.note(f"left out: no database is named for {name}")


@command.command(epilog="Examples:  headwater db migrate --dry-run  ·  headwater db migrate")
@click.option("--dry-run", is_flag=True, help="Print what is missing; apply nothing.")
@click.pass_obj
def migrate(invocation: Invocation, dry_run: bool) -> None:
    """Apply the migrations that are missing, each in a transaction, one runner at a time.

    The source's own tables are the source's business; `db attach` gives them versions.
    """

    async def work(wiring: Wiring) -> dict[str, list[str]]:
        _unnamed(invocation, wiring)
        if not dry_run:
            return await migrate_all(_places(wiring))
        found = await statuses(_places(wiring))
        return {name: [one.name for one in some if not one.applied] for name, some in found.items()}

    applied = connected(invocation, work)
    rows = [(name, migration) for name, some in applied.items() for migration in some]
    text = Table(("database", "migration"), rows) if rows else "nothing to apply"
    invocation.out.result("db.migrate", {"migrations": applied, "dry_run": dry_run}, text=text)


@command.command(epilog="Examples:  headwater db status  ·  headwater --json db status")
@click.pass_obj
def status(invocation: Invocation) -> None:
    """Show every migration and attached table; exit code 1 when something is missing."""

    async def work(wiring: Wiring) -> tuple[dict[str, Any], list[Attachment]]:
        _unnamed(invocation, wiring)
        found = await statuses(_places(wiring))
        ready = "source" in found and not missing({"source": found["source"]})
        return found, await _attachments(wiring) if ready else []

    found, tables = connected(invocation, work)
    rows = [
        *((name, one.name, one.applied, "") for name, some in found.items() for one in some),
        *(("source", f"table {one.table}", one.state == "attached", one.detail) for one in tables),
    ]
    data = {
        "migrations": {name: [one._asdict() for one in some] for name, some in found.items()},
        "tables": [one._asdict() for one in tables],
    }
    invocation.out.result("db.status", data, text=Table(("database", "what", "done", "detail"), rows))
    if missing(found) or any(one.state != "attached" for one in tables):
        raise SystemExit(1)


async def _attachments(wiring: Wiring) -> list[Attachment]:
    async with (await wiring.open_source()).connection() as connection:
        return await attachments(connection, wiring.project.attached)


@command.command("attach", epilog="Examples:  headwater db attach --dry-run  ·  headwater db attach")
@click.option("--dry-run", is_flag=True, help="Print what each table lacks; change nothing.")
@click.pass_obj
def attach_(invocation: Invocation, dry_run: bool) -> None:
    """Give the declared source tables versions, also the rows that are there; safe to repeat.

    Each table is locked for a moment only, and writers go on.
    """

    async def work(wiring: Wiring) -> tuple[list[Attachment], int]:
        before = await _attachments(wiring)
        lacking = [one.table for one in before if one.state == "missing_table"]
        if lacking and not dry_run:
            raise HeadwaterError(
                f"the source has no table {', '.join(map(repr, lacking))}",
                hint="attach after the source's own migrations have run",
            )
        stamped = 0 if dry_run else await _attach(invocation, wiring)
        return before, stamped

    before, stamped = connected(invocation, work)
    rows = [(one.table, one.subject, one.state, one.detail) for one in before]
    data = {"before": [one._asdict() for one in before], "stamped": stamped, "dry_run": dry_run}
    done = f"attached {len(before)} tables; {stamped} rows were given versions"
    text = Table(("table", "subject", "state", "detail"), rows) if dry_run else done
    invocation.out.result("db.attach", data, text=text)


async def _attach(invocation: Invocation, wiring: Wiring) -> int:
    tables: tuple[Attached, ...] = wiring.project.attached
    connection = await connect(wiring.source_url)
    stamped = 0
    try:
        with invocation.out.progress("tables", total=len(tables)) as bar:
            for one in tables:
                stamped += await attach(connection, [one], realm=wiring.settings.realm)
                bar.advance()
    finally:
        await connection.close()
    return stamped


@command.command(epilog="Examples:  headwater db sql > schema.sql  ·  headwater db sql --database crm")
@click.option("--database", "only", help="Only of this one: source, or an application.")
@click.pass_obj
def sql(invocation: Invocation, only: str | None) -> None:
    """Print every migration, and what attaches the tables; connect to nothing."""
    project = find(invocation.project_dir)
    found = [place for place in declared(project) if only in {None, place.name}]
    if not found:
        names = ", ".join(place.name for place in declared(project))
        raise click.UsageError(f"no such database {only!r}; there are: {names}")
    data = {place.name: _statements(place, project.attached) for place in found}
    text = "\n".join(f"-- database: {name}\n{''.join(some)}" for name, some in data.items())
    invocation.out.result("db.sql", {"databases": data}, text=text)


def _statements(place: Place, attached: Iterable[Attached]) -> list[str]:
    found = [
        f"\n-- {role} {one.name}\n{one.up.strip()}\n"
        for role, folder in place.folders
        for one in read(role, folder)
    ]
    if place.name == "source":
        calls = (f"SELECT headwater.attach({_arguments(one)});\n" for one in attached)
        found.append("\n-- headwater db attach, which also stamps rows that are there\n" + "".join(calls))
    return found


def _arguments(one: Attached) -> str:
    words = [_quoted(word) for word in (one.table, one.subject, one.tenant_column or "", one.key_column)]
    watched = "NULL" if one.watched is None else f"ARRAY[{', '.join(map(_quoted, one.watched))}]"
    return ", ".join([*words, watched, str(one.recurring).lower()])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
