"""What people ask of historical sync: start, dry run, cancel, and whether one is needed at all.

`needed` is false only when a comparison made now found no difference; what is not known is called
unknown, never guessed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from headwater.broker import lag
from headwater.database import Connection, Database, load
from headwater.errors import HeadwaterError, ServerUnavailable
from headwater.publish.outgoing import gather
from headwater.replay import agreeing
from headwater.replay.backfill import Backfill, chosen
from headwater.replay.digest import Mirrored
from headwater.replay.examining import Finding, examined
from headwater.replay.jobs import Job, Jobs
from headwater.replay.progress import Standing, parked, standing
from headwater.replay.saying import Saying
from headwater.replay.sides import Sides
from headwater.replay.ways import Ways

PATIENCE = 1.0
"""Seconds a status waits for an application that lags before it calls it different."""


class GroupReport(msgspec.Struct, frozen=True, kw_only=True):
    """How an application's group is doing, over all its streams and tenants."""

    lag: int
    lag_seconds: float
    pending: int
    living: int
    applied_at: datetime | None
    parked: int
    """Dead letters of the one tenant that are not settled."""


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an application is in step with the source, for one tenant."""

    tenant: str
    app: str
    state: Literal["clean", "differs", "unknown"]
    reason: str
    counts: dict[str, int]
    """Rows in scope by subject, for every subject that has a backfill."""
    subjects: tuple[Finding, ...]
    last_clean: dict[str, datetime]
    group: GroupReport | None
    job: Job | None

    @property
    def needed(self) -> bool:
        """Whether a sync is needed, or may be."""
        return self.state != "clean"


class History:
    """Historical sync of one system."""

    def __init__(self, ways: Ways, enablement: str) -> None:
        """`enablement`: `$1 text[] tenants -> rows (tenant, app)`."""
        self.ways = ways
        self.jobs = Jobs(ways.source)
        self.enablement = enablement

    def subjects(self, app: str, options: Mapping[str, bool]) -> list[Backfill]:
        """The backfills an application takes part in, in order."""
        events = {event.subject.name for event in self.ways.outgoing.catalogue.events_of(app)}
        return chosen(self.ways.backfills, events, options)

    async def enabled(self, tenant: str, app: str) -> bool:
        """Whether the tenant has the application, now."""
        found = gather(await self.ways.source.fetch(self.enablement, [tenant]))
        group = self.ways.outgoing.catalogue.group(app)
        return bool(found.get(tenant, set()) & {group.app, *group.aliases})

    async def spelled(self, tenant: str, app: str) -> str:
        """A tenant's id as rows and entries have it: a UUID has many spellings, and is one tenant."""
        sink = self.ways.sinks.get(app)
        if sink is None:
            return tenant
        for one in self.ways.mirrored.get(app, {}).values():
            rows = await sink.fetch(load(__file__, "key_types"), one.table, one.key)
            if ("tenant_id", "uuid") in [(row["name"], row["type"]) for row in rows]:
                return as_uuid(tenant)
        return tenant

    async def start(
        self, tx: Connection, tenant: str, app: str, options: Mapping[str, bool], about: Mapping[str, Any]
    ) -> Job:
        """Queue a job in the caller's transaction. Raises JobRefused with the one that is open."""
        app = self.ways.outgoing.catalogue.group(app).app
        subjects = [one.subject for one in self.subjects(app, options)]
        return await self.jobs.create(tx, tenant, app, subjects, about)

    async def restart(self, tx: Connection, job: Job, about: Mapping[str, Any]) -> Job:
        """Begin an open job again, with every subject and from its first row, in the caller's transaction.

        For an application that is enabled again while its cancelled job still winds down; what that
        job had left out is no longer left out.
        """
        return await self.jobs.restart(tx, job, [one.subject for one in self.subjects(job.app, {})], about)

    async def dry_run(
        self, tenant: str, app: str, options: Mapping[str, bool], since: datetime | None
    ) -> dict[str, int]:
        """How many rows a job would say, by subject; says nothing."""
        return {
            one.subject: await self.ways.source.fetchval(one.count, tenant, app, since)
            for one in self.subjects(app, options)
        }

    async def standing(self, job: Job) -> Standing:
        """How far a job is now. Raises DatabaseUnavailable for the source only, BrokerUnavailable."""
        found = await standing(self.ways.source, self.ways.broker, self.ways.outgoing, job)
        sink = self.ways.sinks.get(job.app)
        try:
            letters = None if sink is None else await parked(sink, job)
        except ServerUnavailable:
            letters = None
        return msgspec.structs.replace(found, parked=letters)

    async def status(self, tenant: str, app: str) -> SyncStatus:
        """Compare now, and say what is known. Raises DatabaseUnavailable for the source only."""
        app = self.ways.outgoing.catalogue.group(app).app
        latest = await self.jobs.listed(tenant, app, limit=1)
        counts = await self.dry_run_all(tenant, app)
        compared: list[Finding] = []
        reason = await self._compare(tenant, app, compared)
        group = await self._group(tenant, app)
        if not reason and group is None:
            reason = "Redis does not answer"
        rows = await self.ways.source.fetch(load(__file__, "passes"), tenant, app)
        state, reason = judge(reason, compared, group)
        if state == "clean" and (wrong := await self._wrong_inside(tenant, app)):
            state, reason = "differs", wrong
        if state == "clean" and not await self.enabled(tenant, app):
            state, reason = "unknown", "the application is not enabled for this tenant"
        return SyncStatus(
            tenant=tenant,
            app=app,
            state=state,
            reason=reason,
            counts=counts,
            subjects=tuple(compared),
            last_clean={row["subject"]: row["at"] for row in rows},
            group=group,
            job=latest[0] if latest else None,
        )

    async def _wrong_inside(self, tenant: str, app: str) -> str:
        """What is known to differ although keys and versions agree; only comparing contents tells."""
        rows = await self.ways.source.fetch(load(__file__, "agreements"), tenant, app)
        kinds = {row["subject"]: msgspec.json.decode(row["kinds"]) for row in rows}
        wrong = [f"{found['corrupt']} of {subject}" for subject, found in kinds.items() if "corrupt" in found]
        mend = "mend it: headwater reconcile --level 2 --fix"
        return f"contents differed when they were last compared ({', '.join(wrong)}); {mend}" if wrong else ""

    async def dry_run_all(self, tenant: str, app: str) -> dict[str, int]:
        """Rows in scope of every backfill of the system, whether the application reads them or not."""
        count = self.ways.source.fetchval
        return {one.subject: await count(one.count, tenant, app, None) for one in self.ways.backfills}

    async def _compare(self, tenant: str, app: str, compared: list[Finding]) -> str:
        sink = self.ways.sinks.get(app)
        if sink is None:
            return "the application's database is not known here"
        mirrored = self.ways.mirrored[app]
        # At once: a subject that differs is looked at for seconds before it is called different.
        found = await asyncio.gather(
            *(
                self._one(sink, backfill, mirrored[backfill.subject], tenant)
                for backfill in self.subjects(app, {})
                if backfill.subject in mirrored
            ),
            return_exceptions=True,
        )
        for one in found:
            if isinstance(one, HeadwaterError):
                return f"the comparison failed ({one})"
            if isinstance(one, BaseException):
                raise one
            compared.append(one)
        return ""

    async def _one(self, sink: Database, backfill: Backfill, mirrored: Mirrored, tenant: str) -> Finding:
        before = await agreeing.signals(self.ways.source, sink, mirrored.app)
        saying = Saying(self.ways, tenant, mirrored.app, "status")
        sides = Sides(self.ways.source, sink, backfill, mirrored, tenant)
        compared = await examined(sides, lambda: saying.caught_up(within=PATIENCE))
        if compared.agreed:
            await agreeing.agreed(self.ways.source, tenant, mirrored, before)
        return compared

    async def _group(self, tenant: str, app: str) -> GroupReport | None:
        group = self.ways.outgoing.catalogue.group(app).name
        try:
            keys = self.ways.outgoing.catalogue.keys_of(app)
            behind = await lag.lags(self.ways.broker, [(key, group) for key in keys])
            found = [one for one in behind if one is not None]
            sink = self.ways.sinks.get(app)
            signals = (
                None if sink is None else await sink.fetchrow(load(__file__, "loss_signals"), app, tenant)
            )
        except ServerUnavailable:
            return None
        return GroupReport(
            lag=sum(one.entries for one in found),
            lag_seconds=max((one.seconds for one in found), default=0.0),
            pending=sum(one.pending for one in found),
            living=max((one.living for one in found), default=0),
            applied_at=signals["applied_at"] if signals else None,
            parked=signals["parked"] if signals else 0,
        )


def as_uuid(text: str) -> str:
    """As Postgres writes it; what is no UUID as it stands. Pure."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text


def judge(
    trouble: str, compared: Sequence[Finding], group: GroupReport | None
) -> tuple[Literal["clean", "differs", "unknown"], str]:
    """State and reason from what was found. Pure."""
    if trouble:
        return "unknown", trouble
    differing = [one.subject for one in compared if not one.agreed]
    if not compared:
        return "unknown", "nothing of this application can be compared"
    if not differing:
        return "clean", ""
    if group is not None and group.living == 0:
        return "differs", f"no consumer is running, and {', '.join(differing)} differ"
    return "differs", f"source and application differ: {', '.join(differing)}"
