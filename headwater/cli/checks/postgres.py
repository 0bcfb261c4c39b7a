"""The source and the applications' databases: safe, migrated, attached, fit for what is declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import asyncpg

from headwater import clock
from headwater.cli.attachment import attachments
from headwater.cli.checks.finding import Finding, careful, fail, ok, warn
from headwater.cli.checks.redis import skew
from headwater.cli.databases import Place, missing, statuses
from headwater.cli.readings import backlog, parked
from headwater.cli.wiring import Wiring
from headwater.database import Database, load
from headwater.delivery import Consumer, Limits, gaps
from headwater.delivery.applier import Applier
from headwater.errors import HeadwaterError, ServerUnavailable

OLDEST = 140_000
SLOW_OUTBOX = 60.0
"""Seconds an event may wait in the outbox before somebody should look."""


async def source(wiring: Wiring, place: Place, *, production: bool) -> AsyncIterator[Finding]:
    """Findings about the source database."""
    try:
        database = await wiring.open_source()
    except ServerUnavailable as error:
        yield fail("source", str(error), "start it, or correct HEADWATER_SOURCE_URL")
        return
    async for one in _server("source", database, production=production):
        yield one
    lacking = missing(await statuses([place]))
    if lacking:
        yield fail("source migrations", f"not applied: {', '.join(lacking)}", "headwater db migrate")
        return
    yield ok("source migrations")
    async with database.connection() as connection:
        tables = await attachments(connection, wiring.project.attached)
    for table in tables:
        if table.state != "attached":
            fix = (
                "headwater db attach" if table.state != "missing_table" else "run the source's own migrations"
            )
            yield fail(f"table {table.table}", table.detail, fix)
    if all(table.state == "attached" for table in tables):
        yield ok("source tables", f"{len(tables)} attached")
    yield await _cache(database)
    async for one in _outbox(database):
        yield one


async def _cache(database: Database) -> Finding:
    cache = await database.fetchval(load(__file__, "sequence_cache"))
    if cache == 1:
        return ok("version sequence", "cache 1")
    detail = f"cache {cache}: a later change may get a smaller version"
    return fail("version sequence", detail, "ALTER SEQUENCE headwater.version_seq CACHE 1")


async def _outbox(database: Database) -> AsyncIterator[Finding]:
    found = await backlog(database)
    if found.oldest > SLOW_OUTBOX:
        detail = f"{found.waiting} wait, the oldest for {found.oldest:.0f} s"
        yield warn("outbox", detail, "headwater relay (or see why the running one waits)")
    else:
        yield ok("outbox", f"{found.waiting} wait")
    if found.quarantined:
        yield warn(
            "outbox quarantine",
            f"{found.quarantined} events can not be said",
            "SELECT id, type, error FROM headwater.outbox WHERE error IS NOT NULL; mend, SET error = NULL",
        )


async def application(wiring: Wiring, place: Place, *, production: bool) -> AsyncIterator[Finding]:
    """Findings about one application's database."""
    app = place.name
    try:
        database = (await wiring.open_sinks([app]))[app]
    except ServerUnavailable as error:
        yield fail(app, str(error), f"start it, or correct HEADWATER_APP_{app.upper()}_URL")
        return
    async for one in _server(app, database, production=production):
        yield one
    lacking = missing(await statuses([place]))
    if lacking:
        yield fail(f"{app} migrations", f"not applied: {', '.join(lacking)}", "headwater db migrate")
        return
    yield ok(f"{app} migrations")
    consumer = wiring.project.applications.get(app)
    if consumer is None:  # a database of the project that no worker writes
        return
    yield await _fits(database, consumer)
    async for one in _keys(database, consumer):
        yield one
    async for one in _contents(database, app):
        yield one


async def _fits(database: Database, consumer: Consumer) -> Finding:
    check = f"{consumer.app} tables"
    try:
        await Applier(database, consumer, name="doctor", limits=Limits()).open()
    except HeadwaterError as error:
        return fail(check, str(error), error.hint or "bring declaration and table together")
    return ok(check, f"{len(consumer.mirrors)} fit their declarations")


async def _keys(database: Database, consumer: Consumer) -> AsyncIterator[Finding]:
    for mirror in consumer.mirrors.values():
        rows = await database.fetch(load(__file__, "unique_keys"), mirror.table)
        primary: list[str] = next((row["columns"] for row in rows if row["primary"]), [])
        wanted = sorted(("tenant_id", mirror.key))
        if "tenant_id" not in primary or wanted not in [row["columns"] for row in rows]:
            yield fail(
                f"{consumer.app} key of {mirror.table}",
                f"the primary key is ({', '.join(primary) or 'none'}): tenants could overwrite each other",
                f"ALTER TABLE {mirror.table} … ADD PRIMARY KEY (tenant_id, {mirror.key})",
            )


async def _gaps(database: Database, app: str) -> Finding:
    found = await gaps.listed(database, app)
    left = [one for one in found if one.state == "open"]
    if left:
        streams, kinds = {one.stream for one in left}, sorted({one.kind for one in left})
        detail = f"{len(left)} open on {len(streams)} streams ({', '.join(kinds)}): entries were lost"
        return warn(f"{app} gaps", detail, gaps.remedy(app, left))
    return ok(f"{app} gaps", f"{len(found)} being repaired" if found else "")


async def _contents(database: Database, app: str) -> AsyncIterator[Finding]:
    yield await _gaps(database, app)
    letters = await parked(database, app)
    if letters:
        yield warn(f"{app} dead letters", f"{letters} are parked", f"headwater dead-letters list {app}")
    try:
        mixed = await database.fetch(load(__file__, "mixed_versions"), app)
    except (TimeoutError, asyncpg.QueryCanceledError):
        yield warn(f"{app} versions", "the ledger is too large to look through now", "run it at a quiet hour")
        return
    for row in mixed:
        yield warn(
            f"{app} versions of {row['subject']}",
            "some things carry versions of the sequence, others times: the latter lose against the former",
            "let every producer of the subject send headwater_version",
        )


async def _server(name: str, database: Database, *, production: bool) -> AsyncIterator[Finding]:
    before = clock.now().timestamp()
    row = await database.fetchrow(load(__file__, "server"))
    after = clock.now().timestamp()
    if row is None:
        raise HeadwaterError(f"{name} does not tell its version")
    if row["number"] < OLDEST:
        yield fail(f"{name} version", f"postgres {row['version']}", "use Postgres 14 or later")
    else:
        yield ok(name, f"postgres {row['version']}")
    if row["replica"]:
        yield fail(f"{name} role", "a replica, which takes no writes", "name the primary")
    if row["synchronous_commit"] == "off":
        yield fail(
            f"{name} synchronous_commit",
            "off: a crash loses what was committed and acknowledged",
            "ALTER DATABASE … SET synchronous_commit = on",
        )
    for setting in _unsafe(row["fsync"], row["full_page_writes"]):
        detail = f"off: a crash of the machine can destroy the database ({setting})"
        yield careful(production)(f"{name} {setting}", detail, f"{setting} = on in postgresql.conf")
    yield skew(name, row["now"], before, after)


def _unsafe(fsync: str, full_page_writes: str) -> Iterable[str]:
    settings = {"fsync": fsync, "full_page_writes": full_page_writes}
    return [name for name, value in settings.items() if value == "off"]
