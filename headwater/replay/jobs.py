"""Backfill jobs as rows: created, claimed under a fencing token, moved on, ended.

A runner that was thought dead and comes back can write nothing: its token is not the job's any more.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from headwater.broker import EntryId
from headwater.database import Connection, Database, Row, load
from headwater.errors import HeadwaterError, JobRefused
from headwater.replay.states import FINAL, RETRIED, State, before

LEASE = 10.0
"""Seconds after which a silent runner's job is taken over."""
DETAILS = 1000
"""Rows a job reports one by one, a subject."""
PACE = ("priority", "rate")
"""What a job may be given that stands in its audit trail where it is not as usual."""


class Fenced(HeadwaterError):
    """Another runner has the job now."""


class Cancelled(HeadwaterError):
    """Somebody asked for the end of the job."""


class Paused(HeadwaterError):
    """Somebody asked for a pause of the job."""


class Ahead(NamedTuple):
    """What a subject has when its job begins."""

    rows: int
    bound: list[str]
    """Its last key; empty when there is none."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One subject of a job."""

    subject: str
    state: str
    expected: int | None
    read: int
    published: int
    failed: int
    checkpoint: list[str] | None
    bound: list[str] | None
    """The last key that is read; empty: there was nothing; None: not drawn yet."""
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
    paused: bool
    priority: int
    rate: int | None
    """Most rows a second; None: as the runner is set."""
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
        for name in ("subject", "state", "expected", "read", "published", "failed", "checkpoint", "error")
    }
    decoded = {name: msgspec.json.decode(row[name]) for name in ("appended", "details")}
    bound = None if row["bound"] is None else msgspec.json.decode(row["bound"])
    return Part(**values, **decoded, bound=bound)


def _job(row: Row, parts: Sequence[Part] = ()) -> Job:
    values = {name: row[name] for name in Job.__struct_fields__ if name not in {"id", "parts"}}
    return Job(id=str(row["id"]), **values, parts=tuple(parts))


class Jobs:
    """The jobs in the source database."""

    def __init__(self, database: Database, *, lease: float = LEASE) -> None:
        """`lease`: seconds after which a silent runner's job is taken over."""
        self._database = database
        self.lease = lease

    async def create(
        self, tx: Connection, tenant: str, app: str, subjects: Sequence[str], about: Mapping[str, Any]
    ) -> Job:
        """Queue a job in the caller's transaction.

        `about`: since, asked_by, reason, delay (seconds), priority (the larger the sooner), rate (rows/s).
        Raises JobRefused with the open job that has a subject in common with it.
        """
        await tx.execute(load(__file__, "lock_jobs"), tenant, app)
        values = (about.get("since"), about["asked_by"], about["reason"], float(about.get("delay", 0.0)))
        pace = (about.get("priority", 0), about.get("rate"))
        row = await tx.fetchrow(
            load(__file__, "create_job"), uuid.uuid4(), tenant, app, *values, list(subjects), *pace
        )
        if row is None:
            raise await self._refusal(tx, tenant, app, subjects)
        await tx.execute(load(__file__, "create_parts"), row["id"], list(subjects))
        detail = about["reason"] + "".join(f"; {name} {about[name]}" for name in PACE if about.get(name))
        await tx.execute(load(__file__, "record_event"), row["id"], about["asked_by"], "queued", detail)
        parts = await tx.fetch(load(__file__, "list_parts"), [row["id"]])
        return _job(row, [_part(part) for part in parts])

    async def _refusal(self, tx: Connection, tenant: str, app: str, subjects: Sequence[str]) -> JobRefused:
        row = await tx.fetchrow(load(__file__, "open_jobs"), tenant, app, list(subjects))
        found = await self._find(tx, None, None, str(row["id"]), False, 1) if row else [None]
        return JobRefused("a backfill of this application is running", job=found[0])

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

    async def pause(self, job: Job, actor: str) -> Job:
        """Ask a job to stop reading; it does within a second. Idempotent. Raises JobRefused."""
        return await self._steer("pause_job", job, actor, ("pause asked", "paused"))

    async def resume(self, job: Job, actor: str) -> Job:
        """Let a paused job go on behind its last chunk. Raises JobRefused: nobody paused it."""
        return await self._steer("resume_job", job, actor, ("resumed", "resumed"))

    async def retry(self, job: Job, actor: str) -> Job:
        """Queue a job again that ended badly; what it did already is not done again. Raises JobRefused."""
        async with self._database.transaction() as tx:
            await tx.execute(load(__file__, "lock_jobs"), job.tenant, job.app)
            subjects = [part.subject for part in job.parts]
            standing = await tx.fetchrow(load(__file__, "open_jobs"), job.tenant, job.app, subjects)
            if standing is not None and str(standing["id"]) != job.id:
                raise await self._refusal(tx, job.tenant, job.app, subjects)
            back = await tx.fetchval(load(__file__, "retry_job"), job.id, sorted(RETRIED))
            if back is None:
                raise JobRefused(_refused("retried", await self._now(tx, job)), job=await self._now(tx, job))
            await tx.execute(load(__file__, "record_event"), job.id, actor, "retried", "")
            return await self._now(tx, job)

    async def _steer(self, query: str, job: Job, actor: str, words: tuple[str, str]) -> Job:
        async with self._database.transaction() as tx:
            changed = await tx.fetchval(load(__file__, query), job.id)
            now = await self._now(tx, job)
            if changed is None:
                raise JobRefused(_refused(words[1], now), job=now)
            await tx.execute(load(__file__, "record_event"), job.id, actor, words[0], "")
            return now

    async def _now(self, tx: Connection, job: Job) -> Job:
        found = await self._find(tx, None, None, job.id, False, 1)
        return found[0] if found else job

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

    async def claim(self, holder: str, *, only: str | None = None, at_once: int | None = None) -> Job | None:
        """Take a job nobody works on, by priority, then age; None when there is none.

        Also None while `at_once` jobs of this source are in the hands of runners.
        """
        if not await self._database.fetchval(load(__file__, "job_waits"), only):
            return None
        async with self._database.transaction() as tx:
            await tx.execute(load(__file__, "lock_claims"))
            row = await tx.fetchrow(load(__file__, "claim_job"), holder, self.lease, only, at_once)
        if row is None:
            return None
        await self.record(str(row["id"]), holder, "claimed", f"token {row['token']}")
        parts = await self._database.fetch(load(__file__, "list_parts"), [row["id"]])
        return _job(row, [_part(part) for part in parts])

    async def record(self, job: str, actor: str, what: str, detail: str = "") -> None:
        """Add to the audit trail."""
        await self._database.execute(load(__file__, "record_event"), job, actor, what, detail[:500])

    async def renew(self, job: Job) -> None:
        """Keep the lease. Raises Fenced, Cancelled, Paused."""
        _held(await self._database.fetchrow(load(__file__, "renew_lease"), job.id, job.token, self.lease))

    async def asked(self, job: Job) -> None:
        """Look what is asked of a job that a runner has. Raises Fenced, Cancelled, Paused."""
        _held(await self._database.fetchrow(load(__file__, "control"), job.id, job.token))

    async def let_go(self, job: Job) -> str:
        """Give a job up for others, paused when that is still asked for; its state. Raises Fenced."""
        state = await self._database.fetchval(load(__file__, "let_go"), job.id, job.token)
        if state is None:
            raise Fenced(f"job {job.id} belongs to another runner")
        return str(state)

    async def move(self, job: Job, state: State, error: str | None = None) -> None:
        """Change the state. Raises Fenced, or JobRefused: this state does not follow its present one."""
        row = await self._database.fetchrow(
            load(__file__, "move_job"), job.id, job.token, state, error, before(state)
        )
        if row is None or not row["held"]:
            raise Fenced(f"job {job.id} belongs to another runner")
        if not row["moved"]:
            raise JobRefused(f"a job that is {row['state']} can not become {state}")

    async def expect(self, job: Job, ahead: Mapping[str, Ahead]) -> None:
        """Write down what subjects have, where nothing is written yet."""
        if ahead:
            bounds = [_text(one.bound) for one in ahead.values()]
            values = (list(ahead), [one.rows for one in ahead.values()], bounds)
            await self._database.execute(load(__file__, "expect"), job.id, job.token, *values)

    async def start_part(self, job: Job, subject: str, ahead: Ahead) -> Part:
        """Begin a subject, or go on with it: what was written down first holds. Raises Fenced."""
        values = (job.id, subject, job.token, ahead.rows, _text(ahead.bound))
        row = await self._database.fetchrow(load(__file__, "start_part"), *values)
        if row is None:
            raise Fenced(f"job {job.id} belongs to another runner")
        return _part(row)

    async def checkpoint(self, job: Job, subject: str, step: Step) -> None:
        """Record a step. Raises Fenced, Cancelled, Paused."""
        details = msgspec.json.encode(step.details).decode() if step.details else None
        row = await self._database.fetchrow(
            load(__file__, "checkpoint"),
            *(job.id, subject, job.token, step.checkpoint, step.read, step.published),
            *(msgspec.json.encode(step.appended).decode(), details, self.lease),
            *(list(step.refused), list(step.refused.values())),
        )
        _held(row)

    async def quarantine(self, job: str, *, limit: int = DETAILS) -> list[dict[str, Any]]:
        """Rows that could not be said: subject, key, error, at."""
        return [dict(row) for row in await self._database.fetch(load(__file__, "quarantine"), job, limit)]

    async def finish_part(self, job: Job, subject: str, state: str, error: str | None = None) -> None:
        """End a subject. Raises Fenced."""
        row = await self._database.fetchrow(
            load(__file__, "finish_part"), job.id, subject, job.token, state, error and error[:500]
        )
        if row is None:
            raise Fenced(f"job {job.id} belongs to another runner")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one append of a job did."""

    published: int = 0
    appended: dict[str, str] = {}
    read: int = 0
    """Rows looked at for the first time: those published, and those that could not be."""
    refused: dict[str, str] = {}
    """By key, why a row could not be said."""
    checkpoint: list[str] | None = None
    details: list[dict[str, Any]] = []

    def plus(self, later: Step) -> Step:
        """Both as one. Pure."""
        return Step(
            published=self.published + later.published,
            appended={**self.appended, **later.appended},
            read=self.read + later.read,
            refused={**self.refused, **later.refused},
            checkpoint=later.checkpoint or self.checkpoint,
            details=[*self.details, *later.details],
        )


def _text(bound: list[str]) -> str:
    return msgspec.json.encode(bound).decode()


def _held(row: Row | None) -> None:
    if row is None:
        raise Fenced("the job belongs to another runner")
    if row["cancelled"]:
        raise Cancelled("the job was cancelled")
    if row["paused"]:
        raise Paused("the job is to pause")


def _refused(what: str, job: Job) -> str:
    state = "about to be cancelled" if job.cancelled and not job.finished else job.state
    return f"a backfill that is {state} can not be {what}"
