"""`headwater publish`: say one event by hand."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import click
import msgspec

from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.output import cell
from headwater.cli.params import text_of
from headwater.cli.project import Project, find
from headwater.cli.wiring import Wiring
from headwater.database import Connection
from headwater.errors import EventError, SettingsError
from headwater.event import Event
from headwater.publish import DirectProducer, Enablement, Published, Receipt, Said

_NOW = "now"
_EXIT = {"ok": 0, "failed": 1, "unknown": 3}


class _Wish(NamedTuple):
    event: Event
    tenant: str
    version: str | None
    operation_id: str | None
    source: str


@click.command(
    epilog="Examples:  headwater publish credit.consumed --tenant T --data @use.json --operation-id op-1  ·  "
    "headwater publish org.updated --tenant T --data - --version 281474976710700  ·  "
    "headwater publish role.created --tenant T --data @role.json --version now --dry-run"
)
@click.argument("type")
@click.option("--tenant", default="", help="Whose fact it is; not for events of the whole realm.")
@click.option(
    "--data", required=True, metavar="JSON|@FILE|-", help="The event's data, in its own field names."
)
@click.option(
    "--version",
    metavar="N|now",
    help="The source row's headwater_version. `now` draws one: only for rows that live nowhere.",
)
@click.option(
    "--operation-id", help="Identity of a fact without a version: said twice, it takes effect once."
)
@click.option("--source", default="cli", show_default=True, help="Name of the service that speaks.")
@click.option("--direct", is_flag=True, help="Append to the streams at once, without the outbox.")
@click.option("--dry-run", is_flag=True, help="Print the entries it would become; say nothing.")
@click.pass_obj
def command(invocation: Invocation, /, **options: Any) -> None:
    """Say one event: through the outbox of the source database, else directly.

    Exit code 1: it is on no stream, or not on all. 3: unknown, say it again with the same version or
    operation id, which is harmless.
    """
    settings = invocation.settings
    project = find(invocation.project_dir, prefix=settings.key_prefix, aside=settings.backfill.side_streams)
    event = _event(project, options["type"], text_of(options["data"]))
    if event.subject.tenanted and not options["tenant"]:
        raise click.UsageError(f"{event.type!r} belongs to a tenant: name it with --tenant")
    version = options["version"]
    if version is not None and version != _NOW and not version.isdecimal():
        raise click.UsageError(f"--version is a number or 'now', not {version!r}")
    wish = _Wish(event, options["tenant"], version, options["operation_id"], options["source"])
    direct = options["direct"] or settings.source_url is None

    async def work(wiring: Wiring) -> int:
        if options["dry_run"]:
            return await _preview(invocation, wiring, wish, outbox=not direct)
        return await (_directly if direct else _outbox)(invocation, wiring, wish)

    raise SystemExit(connected(invocation, work))


def _event(project: Project, event_type: str, data: str) -> Event:
    declared: type[Event] = project.registry.event(event_type)
    if declared.read_only:
        raise EventError("unknown_event", f"{event_type!r} is only read, never published")
    try:
        given = msgspec.json.decode(data)
        if isinstance(given, dict):
            _known(given, declared.__struct_encode_fields__)
        return project.registry.read(event_type, declared.schema_version, data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise click.UsageError(f"--data is no {event_type}: {error}") from None


def _known(given: Mapping[str, Any], fields: Iterable[str]) -> None:
    names = list(fields)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(names)}"
            raise click.UsageError(f"--data has an unknown field {name!r}; {meant}")


async def _version(connection: Connection, wish: _Wish) -> int | None:
    if wish.version == _NOW:
        drawn: int = await connection.fetchval("SELECT headwater.next_version()")
        return drawn
    return None if wish.version is None else int(wish.version)


def _said(wish: _Wish, version: int | None) -> Said:
    return Said(wish.event, wish.tenant, version, operation_id=wish.operation_id)


async def _say(wiring: Wiring, tx: Connection, wish: _Wish) -> Receipt:
    """In the caller's transaction."""
    said = _said(wish, await _version(tx, wish))
    try:
        return (await wiring.producer(wish.source).publish_many(tx, [said]))[0]
    except EventError as error:
        raise _hinted(error) from error


def _hinted(error: EventError) -> EventError:
    if error.reason == "missing_version":
        error.hint = "name the row's headwater_version with --version, or --version now when no table has it"
    return error


async def _outbox(invocation: Invocation, wiring: Wiring, wish: _Wish) -> int:
    source = await wiring.open_source()
    async with source.transaction() as tx:
        said = await _say(wiring, tx, wish)
    data: dict[str, Any] = {
        "event_id": said.event_id,
        "version": said.version,
        "outcome": "outbox",
        "entries": [],
    }
    text = f"{said.event_id}  in the outbox; the relay moves it to its streams"
    invocation.out.result("publish", data, text=text)
    return 0


async def _directly(invocation: Invocation, wiring: Wiring, wish: _Wish) -> int:
    producer = await _direct_producer(wiring, wish.source)
    said = await _versioned(wiring, wish)
    try:
        (outcome,) = await producer.publish_many([said])
    except EventError as error:
        raise _hinted(error) from error
    finally:
        await producer.close()
    entries = [{"stream": stream, "id": entry} for stream, entry in outcome.entries]
    data = {"event_id": outcome.event_id, "version": said.version, "outcome": outcome.outcome}
    invocation.out.result(
        "publish", {**data, "entries": entries, "error": outcome.error}, text=_told(outcome)
    )
    return _EXIT[outcome.outcome]


def _told(outcome: Published) -> str:
    lines = [f"{outcome.event_id}  {outcome.outcome}" + (f": {outcome.error}" if outcome.error else "")]
    lines += [f"  {stream} {entry}" for stream, entry in outcome.entries]
    if outcome.outcome == "ok" and not outcome.entries:
        lines.append("  on no stream: the tenant has no application that reads it")
    return "\n".join(lines)


async def _versioned(wiring: Wiring, wish: _Wish) -> Said:
    if wish.version != _NOW:
        return _said(wish, None if wish.version is None else int(wish.version))
    async with (await wiring.open_source()).connection() as connection:
        return _said(wish, await _version(connection, wish))


async def _direct_producer(wiring: Wiring, source: str) -> DirectProducer:
    if wiring.settings.source_url is not None:
        return await wiring.direct(source)

    async def enabled(_: Iterable[str]) -> Mapping[str, set[str]]:
        raise SettingsError(
            "which applications a tenant has stands in the source database",
            hint="set HEADWATER_SOURCE_URL",
        )

    realm = wiring.settings.realm
    return DirectProducer(wiring.outgoing, wiring.broker, enabled=enabled, source=source, realm=realm)


class _RolledBack(Exception):
    pass


async def _preview(invocation: Invocation, wiring: Wiring, wish: _Wish, *, outbox: bool) -> int:
    said = await _tried(wiring, wish) if outbox else await _versioned(wiring, wish)
    try:
        envelope = said.envelope(wish.source, realm=wiring.settings.realm)
    except EventError as error:
        raise _hinted(error) from error
    enabled: set[str] = set()
    if wiring.outgoing.wants_enablement(envelope.type):
        source = await wiring.open_source()
        found = await Enablement(source, wiring.project.enablement)([envelope.tenant])
        enabled = set(found[envelope.tenant])
    shown = [
        (stream, {name.decode(): value.decode() for name, value in fields.items()})
        for stream, fields in wiring.outgoing.entries(envelope, enabled)
    ]
    lines = [f"would go to {len(shown)} streams" + ("" if shown else ": no application reads it")]
    for stream, fields in shown:
        lines.append(stream)
        lines += [f"  {name:14} {cell(value)}" for name, value in fields.items()]
    entries = [{"stream": stream, "fields": fields} for stream, fields in shown]
    data = {"event_id": envelope.id, "version": said.version, "outcome": "dry-run", "entries": entries}
    invocation.out.result("publish", data, text="\n".join(lines))
    return 0


async def _tried(wiring: Wiring, wish: _Wish) -> Said:
    """Said in a transaction that is rolled back: every check of the real thing, and its version."""
    source = await wiring.open_source()
    receipts: list[Receipt] = []
    try:
        async with source.transaction() as tx:
            receipts.append(await _say(wiring, tx, wish))
            raise _RolledBack
    except _RolledBack:
        return _said(wish, receipts[0].version)
