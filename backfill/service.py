"""Historical sync as the existing service offered it, and the switch that starts it.

Enabling an application commits the switch and the job together: there is no moment in which one
exists without the other, and no reading of rows before both are visible.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import asyncpg
import msgspec

from headwater import telemetry
from headwater.database import Row, Tx, is_unavailable, load
from headwater.errors import HeadwaterError, JobRefused
from headwater.publish import Producer
from headwater.replay import History, Job, SyncStatus
from producers import Producers

log = telemetry.logger(__name__)
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=r"^[^\x00]*$")]
"""What a column of the wrapper takes."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Options(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to sync."""

    sync_credits: bool = True
    sync_organizations: bool = True
    sync_assignments: bool = True
    sync_users: bool = True
    sync_roles: bool = True
    dry_run: bool = False
    since_date: datetime | None = None
    """Rows created or changed at or after, inclusive."""
    rate: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    """Most rows a second; null: as the runner is set."""
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    """The larger the sooner."""

    def switches(self) -> dict[str, bool]:
        """Which backfills are on, by their option's name."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name.startswith("sync")}


class Toggle(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How an application is switched."""

    is_enabled: bool | msgspec.UnsetType = msgspec.UNSET
    """Unsaid: a tenant's first row is enabled, a later one stays as it is."""
    skip_historical_sync: bool = False
    subscription_tier: Text | None = None
    enabled_modules: Annotated[list[Text], msgspec.Meta(max_length=1000)] | None = None
    max_users: Count | None = None


class Unknown(HeadwaterError):
    """There is no such tenant or application."""


class NotEnabled(HeadwaterError):
    """The tenant does not have the application."""


class Toggled(NamedTuple):
    """What a toggle did."""

    row: Row
    job: Job | None
    why: str
    """Why a backfill started, or did not."""


class HistoricalSync:
    """Start, watch and judge the historical sync of applications."""

    def __init__(self, history: History, producer: Producer) -> None:
        self.history = history
        self._producers = Producers(producer)

    async def toggle(self, tenant: str, app: str, change: Toggle, actor: str) -> Toggled:
        """Switch an application on or off for a tenant.

        A change from off to on queues a backfill unless it is to be skipped; a change from on to off
        ends the one that runs. Never waits for a backfill, never fails because of one. Raises Unknown.
        """
        async with self.history.ways.source.transaction() as tx:
            known = await self._application(tx, tenant, app)
            was, row = await self._write(tx, tenant, known["app_id"], change)
            now = row["is_enabled"]
            if was != now:
                await self._announce(tx, tenant, known["app_code"], row, actor)
            switch = (was, now, change.skip_historical_sync, actor)
            job, why = await self._follow(tx, tenant, known["app_code"], switch)
        return Toggled(row, job, why)

    async def _application(self, tx: Tx, tenant: str, app: str) -> Row:
        if not await tx.fetchval(load(__file__, "tenant_exists"), tenant):
            raise Unknown(f"no such tenant ({tenant})")
        row = await tx.fetchrow(load(__file__, "application"), app)
        if row is None:
            raise Unknown(f"no such application ({app[:50]})")
        return row

    @staticmethod
    async def _write(tx: Tx, tenant: str, app_id: str, change: Toggle) -> tuple[bool, Row]:
        # A row to lock is there from now on, so that the first two toggles follow one another too.
        new = await tx.fetchrow(load(__file__, "subscribe"), tenant, app_id) is not None
        before = await tx.fetchrow(load(__file__, "subscription"), tenant, app_id)
        modules = (
            None if change.enabled_modules is None else msgspec.json.encode(change.enabled_modules).decode()
        )
        enabled = (new or None) if change.is_enabled is msgspec.UNSET else change.is_enabled
        about = (enabled, change.subscription_tier, modules, change.max_users)
        row = await tx.fetchrow(load(__file__, "toggle"), tenant, app_id, *about)
        if before is None or row is None:
            raise HeadwaterError("the switch was not written")
        return before["is_enabled"], row

    async def _announce(self, tx: Tx, tenant: str, app: str, row: Row, actor: str) -> None:
        say = (
            self._producers.tenants.application_enabled
            if row["is_enabled"]
            else (self._producers.tenants.application_disabled)
        )
        await say(tx, tenant, app, row, changed_by=actor)

    async def _follow(
        self, tx: Tx, tenant: str, app: str, switch: tuple[bool, bool, bool, str]
    ) -> tuple[Job | None, str]:
        was, now, skip, actor = switch
        if not now:
            ended = await self.history.jobs.cancel(tenant, app, actor, tx=tx)
            return None, "disabled; the running sync ends" if ended else "disabled"
        if was:
            return None, "already enabled: nothing to catch up"
        if skip:
            return None, "skipped, as asked"
        about = {"asked_by": actor, "reason": "application enabled", "delay": self.history.ways.settle}
        try:
            async with tx.transaction():
                return await self._start(tx, tenant, app, about), "application enabled"
        except (HeadwaterError, asyncpg.PostgresError) as error:
            if is_unavailable(error):
                raise
            log.error(
                "backfill.not_started", tenant=tenant, application=app, error=telemetry.safe_text(error)
            )
            return None, f"not started: {telemetry.safe_text(error)}"

    async def _start(self, tx: Tx, tenant: str, app: str, about: dict[str, Any]) -> Job:
        try:
            return await self.history.start(tx, tenant, app, {}, about)
        except JobRefused as refused:
            # The job of the time before winds down, and begins again with everything; or it just ended.
            if refused.job is not None:
                return await self.history.restart(tx, refused.job, about)
            return await self.history.start(tx, tenant, app, {}, about)

    async def sync_historical_data(self, tenant: str, app: str, options: Options, actor: str) -> Job:
        """Queue a sync of what the options name.

        Raises Unknown, NotEnabled, or JobRefused with the running job.
        """
        code = await self.enabled(tenant, app)
        about = {
            "asked_by": actor,
            "reason": "asked for",
            "since": options.since_date,
            "rate": options.rate,
            "priority": options.priority,
        }
        async with self.history.ways.source.transaction() as tx:
            return await self.history.start(tx, tenant, code, options.switches(), about)

    async def preview(self, tenant: str, app: str, options: Options) -> tuple[str, dict[str, int]]:
        """The application's code and what a sync would say, by subject. Raises Unknown, NotEnabled."""
        code = await self.enabled(tenant, app)
        return code, await self.history.dry_run(tenant, code, options.switches(), options.since_date)

    async def sync_credits(self, tenant: str, app: str, actor: str) -> Job:
        """Queue a sync of credit allocations alone."""
        return await self._only(tenant, app, "sync_credits", actor)

    async def sync_organizations(self, tenant: str, app: str, actor: str) -> Job:
        """Queue a sync of organizations alone."""
        return await self._only(tenant, app, "sync_organizations", actor)

    async def sync_assignments(self, tenant: str, app: str, actor: str) -> Job:
        """Queue a sync of memberships alone."""
        return await self._only(tenant, app, "sync_assignments", actor)

    async def sync_users(self, tenant: str, app: str, actor: str) -> Job:
        """Queue a sync of users alone."""
        return await self._only(tenant, app, "sync_users", actor)

    async def sync_roles(self, tenant: str, app: str, actor: str) -> Job:
        """Queue a sync of roles and who has them alone."""
        return await self._only(tenant, app, "sync_roles", actor)

    async def _only(self, tenant: str, app: str, name: str, actor: str) -> Job:
        names = [field for field in Options.__struct_fields__ if field.startswith("sync_")]
        only = msgspec.structs.replace(Options(), **{one: one == name for one in names})
        return await self.sync_historical_data(tenant, app, only, actor)

    async def sync_status(self, tenant: str, app: str) -> SyncStatus:
        """Whether the application is in step with the source, by comparing now. Raises Unknown."""
        async with self.history.ways.source.connection() as connection:
            known = await self._application(connection, tenant, app)
        return await self.history.status(tenant, known["app_code"])

    async def enabled(self, tenant: str, app: str) -> str:
        """The code of an application that the tenant has. Raises Unknown, NotEnabled."""
        async with self.history.ways.source.connection() as connection:
            known = await self._application(connection, tenant, app)
        if not await self.history.enabled(tenant, known["app_code"]):
            raise NotEnabled(f"the application is not enabled for this tenant ({known['app_code']})")
        return str(known["app_code"])

    async def code(self, tenant: str, app: str) -> str:
        """An application's code. Raises Unknown."""
        async with self.history.ways.source.connection() as connection:
            return str((await self._application(connection, tenant, app))["app_code"])

    async def jobs(self, tenant: str, app: str, *, limit: int) -> list[Job]:
        """Jobs, newest first. Raises Unknown."""
        return await self.history.jobs.listed(tenant, await self.code(tenant, app), limit=limit)

    async def resume(self, job: Job, actor: str) -> Job:
        """Let a paused job go on. Raises JobRefused, NotEnabled."""
        await self.enabled(job.tenant, job.app)
        return await self.history.jobs.resume(job, actor)

    async def retry(self, job: Job, actor: str) -> Job:
        """Queue a job again that ended badly. Raises JobRefused, NotEnabled."""
        await self.enabled(job.tenant, job.app)
        return await self.history.jobs.retry(job, actor)

    async def cancel(self, job: Job, actor: str) -> Job:
        """End one open job within a second. Raises JobRefused: it has ended."""
        if not await self.history.jobs.cancel(job.tenant, job.app, actor, job=job.id):
            raise JobRefused(f"the backfill has ended already ({job.state})", job=job)
        return await self.history.jobs.get(job.id) or job

    async def finished(self, job: Job, *, within: float) -> Job:
        """The job when it has ended, or as it stands `within` seconds from now."""
        try:
            async with asyncio.timeout(within):
                while not job.finished:
                    await asyncio.sleep(0.05)
                    job = await self.history.jobs.get(job.id) or job
        except TimeoutError:
            return job
        return job
