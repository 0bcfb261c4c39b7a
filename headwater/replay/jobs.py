"""Backfill jobs as rows: created, claimed under a fencing token, moved on, ended.

A runner that was thought dead and comes back can write nothing: its token is not the job's any more.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from headwater.broker import EntryId
from headwater.database import Connection, Database, Row, load
from headwater.errors import HeadwaterError, JobRefused

State = Literal[
    "queued",
    "running",
    "paused",
    "catching_up",
    "verifying",
    "verified",
    "diverged",
    "partial",
    "failed",
    "cancelled",
]
FINAL = frozenset({"verified", "diverged", "partial", "failed", "cancelled"})
LEASE = 10.0
"""Seconds after which a silent runner's job is taken over."""
DETAILS = 1000
"""Rows a job reports one by one, a subject."""


class Fenced(HeadwaterError):
    """Another runner has the job now."""


class Cancelled(HeadwaterError):
    """Somebody asked for the end of the job."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One subject of a job."""

    subject: str
    state: str
    expected: int | None
    published: int
    failed: int
    checkpoint: list[str] | None
    appended: dict[str, str]
    """The last entry this job appended to each stream."""
    details: list[dict[str, Any]]
    error: str | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job with its parts."""

    id: str
    tenant: str
    app: str
    state: State
    since: datetime | None
    asked_by: str
    reason: str
    cancelled: bool
    token: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    parts: tuple[Part, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL

    def upto(self) -> dict[str, str]:
        """The last entry the job appended to each stream, over all subjects."""
        last: dict[str, str] = {}
        for part in self.parts:
            for stream, entry in part.appended.items():
                last[stream] = max(last.get(stream, "0-0"), entry, key=EntryId.parse)
        return last


def _part(row: Row) -> Part:
    values = {
        name: row[name]
        for name in ("subject", "state", "expected", "published", "failed", "checkpoint", "error")
    }
    decoded = {name: msgspec.json.decode(row[name]) for name in ("appended", "details")}
    return Part(**values, **decoded)


def _job(row: Row, parts: Sequence[Part] = ()) -> Job:
    values = {name: row[name] for name in Job.__struct_fields__ if name not in {"id", "parts"}}
    return Job(id=str(row["id"]), **values, parts=tuple(parts))


class Jobs:
    """The jobs in the source database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, tx: Connection, tenant: str, app: str, subjects: Sequence[str], about: Mapping[str, Any]
    ) -> Job:
        """Queue a job in the caller's transaction. `about`: since, asked_by, reason, delay (seconds).

        Raises JobRefused with the job that is open already.
        """
        values = (about.get("since"), about["asked_by"], about["reason"], float(about.get("delay", 0.0)))
        row = await tx.fetchrow(load(__file__, "create_job"), uuid.uuid4(), tenant, app, *values)
        if row is None:
            open_jobs = await self._find(tx, tenant, app, None, True, 1)
            raise JobRefused(
                "a backfill of this application is running", job=open_jobs[0] if open_jobs else None
            )
        await tx.execute(load(__file__, "create_parts"), row["id"], list(subjects))
        await tx.execute(
            load(__file__, "record_event"), row["id"], about["asked_by"], "queued", about["reason"]
        )
        parts = await tx.fetch(load(__file__, "list_parts"), [row["id"]])
        return _job(row, [_part(part) for part in parts])

    @staticmethod
    async def _find(
        connection: Connection,
        tenant: str | None,
        app: str | None,
        job: str | None,
        open_only: bool,
        limit: int,
    ) -> list[Job]:
        rows = await connection.fetch(load(__file__, "list_jobs"), tenant, app, job, open_only, limit)
        parts: dict[Any, list[Part]] = {}
        for row in await connection.fetch(load(__file__, "list_parts"), [row["id"] for row in rows]):
            parts.setdefault(row["job"], []).append(_part(row))
        return [_job(row, parts.get(row["id"], ())) for row in rows]

    async def listed(
        self, tenant: str | None = None, app: str | None = None, *, limit: int = 50
    ) -> list[Job]:
        """Jobs, newest first."""
        async with self._database.connection() as connection:
            return await self._find(connection, tenant, app, None, False, limit)

    async def get(self, job: str) -> Job | None:
        """One job, None when there is none of that id."""
        async with self._database.connection() as connection:
            found = await self._find(connection, None, None, job, False, 1)
        return found[0] if found else None

    async def events(self, job: str) -> list[dict[str, Any]]:
        """The audit trail, oldest first."""
        return [dict(row) for row in await self._database.fetch(load(__file__, "list_events"), job)]

    async def cancel(
        self, tenant: str, app: str, actor: str, *, job: str | None = None, tx: Connection | None = None
    ) -> list[str]:
        """End the open jobs of a tenant's application within a chunk; their ids. Idempotent."""
        if tx is None:
            async with self._database.transaction() as own:
                return await self.cancel(tenant, app, actor, job=job, tx=own)
        rows = await tx.fetch(load(__file__, "cancel_jobs"), tenant, app, job)
        for row in rows:
            await tx.execute(load(__file__, "record_event"), row["id"], actor, "cancel asked", "")
        return [str(row["id"]) for row in rows]

    async def restart(
        self, tx: Connection, job: Job, subjects: Sequence[str], about: Mapping[str, Any]
    ) -> Job:
        """Begin an open job again with these subjects, all of them, fencing off whoever runs it now."""
        delay = float(about.get("delay", 0.0))
        await tx.execute(load(__file__, "restart_job"), job.id, about["asked_by"], about["reason"], delay)
        await tx.execute(load(__file__, "create_parts"), job.id, list(subjects))
        await tx.execute(
            load(__file__, "record_event"), job.id, about["asked_by"], "restarted", about["reason"]
        )
        return (await self._find(tx, None, None, job.id, False, 1))[0]

    async def claim(self, holder: str, *, only: str | None = None) -> Job | None:
        """Take a job nobody works on; None when there is none."""
        row = await self._database.fetchrow(load(__file__, "claim_job"), holder, LEASE, only)
        if row is None:
            return None
        await self.record(str(row["id"]), holder, "claimed", f"token {row['token']}")
        parts = await self._database.fetch(load(__file__, "list_parts"), [row["id"]])
        return _job(row, [_part(part) for part in parts])

    async def record(self, job: str, actor: str, what: str, detail: str = "") -> None:
        """Add to the audit trail."""
        await self._database.execute(load(__file__, "record_event"), job, actor, what, detail[:500])

    async def renew(self, job: Job) -> None:
        """Keep the lease. Raises Fenced, Cancelled."""
        _held(await self._database.fetchrow(load(__file__, "renew_lease"), job.id, job.token, LEASE))

    async def move(self, job: Job, state: State, error: str | None = None) -> None:
        """Change the state. Raises Fenced."""
        if await self._database.fetchrow(load(__file__, "move_job"), job.id, job.token, state, error) is None:
            raise Fenced(f"job {job.id} belongs to another runner")

    async def start_part(self, job: Job, subject: str, expected: int) -> Part:
        """Begin a subject, or go on with it. Raises Fenced."""
        row = await self._database.fetchrow(
            load(__file__, "start_part"), job.id, subject, job.token, expected
        )
        if row is None:
            raise Fenced(f"job {job.id} belongs to another runner")
        return _part(row)

    async def checkpoint(self, job: Job, subject: str, step: Step) -> None:
        """Record a step. Raises Fenced, Cancelled."""
        details = msgspec.json.encode(step.details).decode() if step.details else None
        row = await self._database.fetchrow(
            load(__file__, "checkpoint"),
            *(job.id, subject, job.token, step.checkpoint, step.published, step.failed),
            *(msgspec.json.encode(step.appended).decode(), details, LEASE),
        )
        _held(row)

    async def finish_part(self, job: Job, subject: str, state: str, error: str | None = None) -> None:
        """End a subject. Raises Fenced."""
        row = await self._database.fetchrow(
            load(__file__, "finish_part"), job.id, subject, job.token, state, error and error[:500]
        )
        if row is None:
            raise Fenced(f"job {job.id} belongs to another runner")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one append of a job did."""

    published: int
    failed: int
    appended: dict[str, str]
    checkpoint: list[str] | None = None
    details: list[dict[str, Any]] = []


def _held(row: Row | None) -> None:
    if row is None:
        raise Fenced("the job belongs to another runner")
    if row["cancelled"]:
        raise Cancelled("the job was cancelled")
