"""headwater demo: the project's story, played on real servers of our own.

Day 1: tenants are set up, and one application is enabled. Day 30: the others are enabled through
the admin interface, which starts their historical sync, while changes go on. Day 31: live traffic.
At the end every application is compared with the source, subject by subject; exit 0 only if all agree.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from headwater import clock
from headwater.cli import measure
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.project import find
from headwater.cli.readings import backlog
from headwater.cli.system import System
from headwater.database import Database
from headwater.embedded import Servers
from headwater.errors import DeclarationError, HeadwaterError
from headwater.replay import Backfill, Finding, Job, Mirrored, Saying, Sides, examined

QUIET_WITHIN = 60.0
INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C came before the end: there is nothing to report."""


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How large the story is."""

    tenants: int
    organizations: int
    users: int
    rate: float
    seconds: float


@click.command(
    epilog="Examples:  headwater demo  ·  headwater demo --users 2000 --rate 500  ·  headwater demo --keep"
)
@click.option("--tenants", default=1, show_default=True, type=click.IntRange(1, 100), help="How many.")
@click.option(
    "--organizations", default=5, show_default=True, type=click.IntRange(1, 100_000), help="Of each tenant."
)
@click.option(
    "--users", default=10, show_default=True, type=click.IntRange(1, 1_000_000), help="Of each tenant."
)
@click.option(
    "--rate", default=100.0, show_default=True, type=click.FloatRange(1, 5000), help="Live changes a second."
)
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Live traffic on day 31.",
)
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C.")
@click.pass_obj
def command(invocation: Invocation, /, keep: bool, **scale: Any) -> None:
    """Play the project's story on servers of our own, and prove that every application agrees."""
    size = Scale(**scale)
    invocation.load({"admin.port": 0, "log.level": None if invocation.verbose else "error"})
    try:
        agree = invocation.serve(lambda stop: _play(invocation, size, stop, keep=keep))
    except Interrupted:
        invocation.out.note("interrupted: nothing was compared, nothing is left behind")
        raise SystemExit(INTERRUPTED) from None
    raise SystemExit(0 if agree else 1)


async def _play(invocation: Invocation, scale: Scale, stop: asyncio.Event, *, keep: bool) -> bool:
    settings = invocation.settings
    project = find(invocation.project_dir)
    if project.story is None:
        raise DeclarationError(
            "this project has no story to play", hint="backfill.Story: docs/own-project.md"
        )
    begun = time.monotonic()
    async with (
        Servers.start(mode=settings.embedded) as servers,
        System.start(project, settings, servers) as system,
    ):
        invocation.out.note(f"{servers.describe()} · ready in {time.monotonic() - begun:.1f} s")
        report = await Demo(invocation, system, scale, stop).play()
        invocation.out.result("demo", report, text=_text(report))
        if keep and not stop.is_set():
            _invite(invocation, system, servers)
            await system.until(stop)
    return bool(report["agree"])


class Demo:
    """One playing of the story."""

    def __init__(self, invocation: Invocation, system: System, scale: Scale, stop: asyncio.Event) -> None:
        self._out = invocation.out
        self._system = system
        self._scale = scale
        self._stop = stop
        self._story = system.project.story(
            system.source,
            system.wiring.producer(),
            tenants=scale.tenants,
            organizations=scale.organizations,
            users=scale.users,
        )
        self._legs: dict[str, Any] = {}

    async def play(self) -> dict[str, Any]:
        """All days, then the comparison. Raises Interrupted soon after `stop` was set."""
        await self._day_one()
        await self._day_thirty()
        await self._day_thirty_one()
        rows = await self._compare()
        return {
            "agree": all(row["agree"] for row in rows),
            "rows": rows,
            "legs": self._legs,
            "tenants": self._story.tenants,
        }

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Interrupted

    async def _day_one(self) -> None:
        self._go_on()
        begun = time.monotonic()
        await self._story.day_one()
        events = await self._system.source.fetchval("SELECT count(*) FROM headwater.outbox")
        said = time.monotonic() - begun
        await self._settled()
        together = time.monotonic() - begun
        self._legs["setUp"] = {
            "events": events,
            "saidPerSecond": measure.per_second(events, said),
            "relayedAndAppliedPerSecond": measure.per_second(events, together),
        }
        self._out.note(f"day 1   {events} events said, relayed and applied in {together:.2f} s")

    async def _day_thirty(self) -> None:
        ending = asyncio.Event()
        live = asyncio.create_task(self._story.live(ending, self._scale.rate), name="live")
        try:
            begun = time.monotonic()
            ids = [await self._enable(tenant, app) for tenant, app in await self._late()]
            jobs = await self._watch(ids)
            seconds = time.monotonic() - begun
        finally:
            ending.set()
            changes = await live
        rows = sum(part.published for job in jobs for part in job.parts)
        running = [
            (job.finished_at - job.started_at).total_seconds()
            for job in jobs
            if job.finished_at and job.started_at
        ]
        self._legs["backfill"] = {
            "states": sorted({job.state for job in jobs}),
            "rows": rows,
            "rowsPerSecond": measure.per_second(rows, max(running, default=0.0)),
            "seconds": round(seconds, 2),
            "changesMeanwhile": changes,
        }
        told = f"{rows} rows of history applied and compared in {seconds:.2f} s"
        self._out.note(f"day 30  {told}, {changes} changes meanwhile")

    async def _late(self) -> list[tuple[str, str]]:
        """Tenants and the applications they do not have yet."""
        enabled = self._system.history.enabled
        pairs = [(tenant, app) for tenant in self._story.tenants for app in self._system.project.applications]
        return [(tenant, app) for tenant, app in pairs if not await enabled(tenant, app)]

    async def _enable(self, tenant: str, app: str) -> str:
        import aiohttp  # noqa: PLC0415 (half a second to import; only where a request is made)

        url = f"{self._system.admin_url}/admin/organizations/{tenant}/applications/{app}/toggle"
        headers = {"Authorization": f"Bearer {self._system.admin_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(url, json={"isEnabled": True}) as answer,
        ):
            body = await answer.json()
            job = (body.get("historicalSync") or {}).get("job")
            if answer.status != 200 or not job:
                raise HeadwaterError(f"the application could not be enabled ({answer.status}, {body})")
            return str(job["id"])

    async def _watch(self, ids: list[str]) -> list[Job]:
        with self._out.progress("history") as bar:
            while True:
                jobs = [job for one in ids if (job := await self._system.history.jobs.get(one))]
                expected = sum(part.expected or 0 for job in jobs for part in job.parts)
                bar.update(sum(part.published for job in jobs for part in job.parts), expected or None)
                if all(job.finished for job in jobs):
                    return jobs
                self._go_on()
                await asyncio.sleep(0.05)

    async def _day_thirty_one(self) -> None:
        since = clock.now()
        ending = asyncio.Event()
        live = asyncio.create_task(self._story.live(ending, self._scale.rate), name="live")
        try:
            async with asyncio.timeout(self._scale.seconds):
                await self._stop.wait()
        except TimeoutError:
            pass
        finally:
            ending.set()
            changes = await live
        self._go_on()
        await self._settled()
        sinks = list(self._system.sinks.items())
        self._legs["live"] = {
            "changes": changes,
            "changesPerSecond": measure.per_second(changes, self._scale.seconds),
            "saidToStream": measure.as_dict(await measure.relayed(self._system.source, since)),
            "saidToApplied": measure.as_dict(await measure.applied(self._system.source, sinks, since)),
        }
        self._out.note(f"day 31  {changes} live changes in {self._scale.seconds:g} s")

    async def _settled(self) -> None:
        """Wait until everything said has been applied everywhere."""
        try:
            async with asyncio.timeout(QUIET_WITHIN + self._scale.users * self._scale.tenants / 1000):
                while not await self._quiet():
                    self._go_on()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise HeadwaterError(
                "events were still on their way after a minute", hint="run with -v to see why"
            ) from None

    async def _quiet(self) -> bool:
        if (await backlog(self._system.source)).waiting:
            return False
        for key, (_, groups) in self._system.project.catalogue.all_keys().items():
            declared = {group.name for group in groups}
            for group in await self._system.wiring.broker.groups(key):
                if group.name in declared and (group.pending or group.lag != 0):
                    return False
        return True

    async def _compare(self) -> list[dict[str, Any]]:
        rows = []
        for app, sink in self._system.sinks.items():
            mirrored = self._system.project.mirrored[app]
            for backfill in self._system.history.subjects(app, {}):
                if backfill.subject not in mirrored:
                    continue
                found = [
                    await self._examined(sink, backfill, mirrored[backfill.subject], tenant)
                    for tenant in self._story.tenants
                ]
                rows.append(
                    {
                        "application": app,
                        "subject": backfill.subject,
                        "source": sum(one.source_count for one in found),
                        "applied": sum(one.applied_count for one in found),
                        "agree": all(one.agreed for one in found),
                    }
                )
        return rows

    async def _examined(self, sink: Database, backfill: Backfill, mirrored: Mirrored, tenant: str) -> Finding:
        saying = Saying(self._system.history.ways, tenant, mirrored.app, "demo")
        sides = Sides(self._system.source, sink, backfill, mirrored, tenant)
        return await examined(sides, partial(saying.caught_up, within=10.0))


def _text(report: dict[str, Any]) -> str:
    columns = ("application", "subject", "source", "applied", "digests")
    rows = [
        (
            row["application"],
            row["subject"],
            row["source"],
            row["applied"],
            "agree" if row["agree"] else "DIFFER",
        )
        for row in report["rows"]
    ]
    legs = report["legs"]
    set_up, backfill, live = legs["setUp"], legs["backfill"], legs["live"]
    speed = [
        ("set-up said (outbox)", f"{set_up['saidPerSecond']} events/s"),
        ("set-up said, relayed and applied", f"{set_up['relayedAndAppliedPerSecond']} events/s"),
        ("history read, applied and compared", f"{backfill['rowsPerSecond']} rows/s"),
        ("live, said to stream", _milliseconds(live["saidToStream"])),
        ("live, said to applied", _milliseconds(live["saidToApplied"])),
    ]
    end = "every application agrees with the source" if report["agree"] else "applications and source DIFFER"
    return f"{Table(columns, rows).plain()}\n\n{Table(('leg', 'speed'), speed).plain()}\n\n{end}"


def _milliseconds(found: dict[str, Any]) -> str:
    if found["p50Ms"] is None:
        return "-"
    return f"p50 {found['p50Ms']:g} ms, p99 {found['p99Ms']:g} ms ({found['events']} events)"


def _invite(invocation: Invocation, system: System, servers: Servers) -> None:
    redis = urlsplit(servers.redis_url)
    streams = list(system.project.catalogue.all_keys())[:2]
    lines = [
        f"admin      {system.admin_url}   Authorization: Bearer {system.admin_key}",
        *(
            f"redis-cli  REDISCLI_AUTH={redis.password} redis-cli -p {redis.port} XREAD STREAMS {key} 0"
            for key in streams
        ),
        f"psql       psql '{servers.postgres_url('source')}'",
        *(f"psql       psql '{servers.postgres_url(app)}'" for app in system.sinks),
        "Ctrl-C ends it and leaves nothing behind",
    ]
    invocation.out.note("\n".join(lines))
