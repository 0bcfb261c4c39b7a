"""The endpoints of historical sync, at the paths and in the shapes of the existing systems.

`{orgId}` is the tenant's id, as it always was; `{app}` is an application's id or code.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from backfill.reports import dry_report, finished_report, job_report, standing_report, status_report
from backfill.service import HistoricalSync, NotEnabled, Options, Toggle, Unknown
from backfill.telling import tell
from headwater.admin import EVERY, Problem, policy, principal, read_json, reply
from headwater.database import Row, load
from headwater.errors import DeclarationError, JobRefused
from headwater.publish import Producer
from headwater.replay import History, Job
from producers.rows import utc

APPLICATIONS = "/organizations/{orgId}/applications"
LONGEST_WAIT = 60.0
MOST_LISTED = 500


def application(history: History, producer: Producer) -> web.Application:
    """The endpoints, to be mounted at `/admin` and `/api/suite/admin`."""
    endpoints = Endpoints(HistoricalSync(history, producer))
    app = web.Application()
    app.router.add_get(APPLICATIONS, endpoints.applications)
    app.router.add_post(f"{APPLICATIONS}/{{app}}/toggle", endpoints.toggle)
    app.router.add_post(f"{APPLICATIONS}/{{app}}/sync-historical", endpoints.sync_historical)
    app.router.add_get(f"{APPLICATIONS}/{{app}}/sync-status", endpoints.sync_status)
    app.router.add_get(f"{APPLICATIONS}/{{app}}/jobs", endpoints.jobs)
    app.router.add_get(f"{APPLICATIONS}/{{app}}/jobs/{{job}}", endpoints.job)
    app.router.add_get(f"{APPLICATIONS}/{{app}}/jobs/{{job}}/progress", endpoints.progress)
    app.on_shutdown.append(endpoints.close)
    for verb, steer in (
        ("pause", endpoints.pause),
        ("resume", endpoints.resume),
        ("cancel", endpoints.cancel),
        ("retry", endpoints.retry),
    ):
        app.router.add_post(f"{APPLICATIONS}/{{app}}/jobs/{{job}}/{verb}", steer)
    return app


class Endpoints:
    """One method a route; each names its policy."""

    def __init__(self, service: HistoricalSync) -> None:
        self._service = service
        self.closing = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """End what is being told: the server stops."""
        self.closing.set()

    @policy("read", tenant="orgId")
    async def applications(self, request: web.Request) -> web.Response:
        """The tenant's applications."""
        rows = await self._service.history.ways.source.fetch(
            load(__file__, "subscriptions"), _tenant(request)
        )
        return reply({"success": True, "applications": [_listed(row) for row in rows]})

    @policy("write", tenant="orgId")
    async def toggle(self, request: web.Request) -> web.Response:
        """Switch an application; names the sync that follows, and never waits for it."""
        tenant, change = _tenant(request), await read_json(request, Toggle)
        toggled = await _known(self._service.toggle(tenant, _app(request), change, principal(request).id))
        sync = {
            "started": toggled.job is not None,
            "reason": toggled.why,
            "job": job_report(toggled.job) if toggled.job else None,
        }
        body = {
            "success": True,
            "organizationApplication": _subscription(toggled.row),
            "historicalSync": sync,
        }
        return reply(body)

    @policy("write", tenant="orgId")
    async def sync_historical(self, request: web.Request) -> web.Response:
        """Say a tenant's past again to one application: 202 with the job, `?wait=30` for its end."""
        tenant, app, wait = _tenant(request), _app(request), _wait(request)
        options = await read_json(request, Options)
        _check_since(options.since_date)
        if options.dry_run:
            code, counts = await _known(self._service.preview(tenant, app, options))
            return reply(dry_report(tenant, code, counts))
        job = await _known(self._service.sync_historical_data(tenant, app, options, principal(request).id))
        job = await self._service.finished(job, within=wait) if wait else job
        if job.finished:
            return reply(finished_report(job))
        answer = reply({"tenantId": tenant, "appCode": job.app, "dryRun": False, "job": job_report(job)}, 202)
        answer.headers["Location"] = f"{request.path.rpartition('/')[0]}/jobs/{job.id}"
        return answer

    @policy("read", tenant="orgId")
    async def sync_status(self, request: web.Request) -> web.Response:
        """Whether a sync is needed, by comparing both databases now."""
        status = await _known(self._service.sync_status(_tenant(request), _app(request)))
        return reply(status_report(status, totals=principal(request).sees(EVERY)))

    @policy("read", tenant="orgId")
    async def jobs(self, request: web.Request) -> web.Response:
        """The application's jobs for this tenant, newest first; `?limit=50` at most."""
        tenant, limit = _tenant(request), _limit(request)
        jobs = await _known(self._service.jobs(tenant, _app(request), limit=limit))
        return reply({"jobs": [job_report(one) for one in jobs]})

    @policy("read", tenant="orgId")
    async def job(self, request: web.Request) -> web.Response:
        """One job, how far it is, the rows it could not say, and its audit trail."""
        job, history = await self._job(request), self._service.history
        report = standing_report(job, await history.standing(job))
        refused, events = await history.jobs.quarantine(job.id), await history.jobs.events(job.id)
        return reply({**report, "quarantined": refused, "events": events})

    @policy("read", tenant="orgId")
    async def progress(self, request: web.Request) -> web.StreamResponse:
        """How far a job is, told whenever it changes until it has ended (server-sent events)."""
        job = await self._job(request)
        return await tell(request, self._service.history, job, self.closing)

    @policy("write", tenant="orgId")
    async def pause(self, request: web.Request) -> web.Response:
        """Stop reading within a second: 202 until it has, then 200."""
        job = await self._job(request)
        job = await _known(self._service.history.jobs.pause(job, principal(request).id))
        return reply({"job": job_report(job)}, 200 if job.state == "paused" else 202)

    @policy("write", tenant="orgId")
    async def resume(self, request: web.Request) -> web.Response:
        """Go on behind the last chunk."""
        job = await self._job(request)
        return reply({"job": job_report(await _known(self._service.resume(job, principal(request).id)))})

    @policy("write", tenant="orgId")
    async def cancel(self, request: web.Request) -> web.Response:
        """End within a second: 202 until it has, then 200."""
        job = await _known(self._service.cancel(await self._job(request), principal(request).id))
        return reply({"job": job_report(job)}, 200 if job.finished else 202)

    @policy("write", tenant="orgId")
    async def retry(self, request: web.Request) -> web.Response:
        """Queue a job again that failed, diverged or was cancelled."""
        job = await self._job(request)
        return reply({"job": job_report(await _known(self._service.retry(job, principal(request).id)))}, 202)

    async def _job(self, request: web.Request) -> Job:
        """The job of the path, if it is this tenant's and this application's."""
        tenant = _tenant(request)
        try:
            identity = str(uuid.UUID(request.match_info["job"]))
        except ValueError:
            raise Problem(404, "no such job") from None
        job = await self._service.history.jobs.get(identity)
        if job is None or job.tenant != tenant:
            raise Problem(404, "no such job")
        if job.app != await _known(self._service.code(tenant, _app(request))):
            raise Problem(404, "no such job")
        return job


async def _known(asked: Awaitable[Any]) -> Any:
    """What was asked, its refusals as problems."""
    try:
        return await asked
    except (Unknown, DeclarationError) as error:
        raise Problem(404, str(error)) from None
    except NotEnabled as error:
        raise Problem(409, f"{error}; enable it first: POST …/toggle") from None
    except JobRefused as error:
        running: dict[str, Any] = {"job": job_report(error.job)} if error.job else {}
        raise Problem(409, str(error), **running) from None


def _tenant(request: web.Request) -> str:
    text = request.match_info["orgId"]
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Problem(404, "no such tenant: its id is a UUID") from None


def _app(request: web.Request) -> str:
    text = request.match_info["app"]
    if not text.isprintable() or len(text) > 50:
        raise Problem(404, "no such application")
    return text


def _wait(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise Problem(400, f"wait is a number of seconds from 0 to {LONGEST_WAIT:g}", field="wait")
    return seconds


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "50")
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MOST_LISTED):
        raise Problem(400, f"limit is a number from 1 to {MOST_LISTED}", field="limit")
    return int(text)


def _check_since(since: datetime | None) -> None:
    if since is None:
        return
    if since.tzinfo is None:
        raise Problem(400, "sinceDate needs a time zone, as in 2024-01-01T00:00:00Z", field="sinceDate")
    try:
        since.astimezone(UTC)
    except OverflowError:
        raise Problem(400, "sinceDate lies outside the years 1 to 9999 in UTC", field="sinceDate") from None


def _subscription(row: Row) -> dict[str, Any]:
    """A row of organization_applications as the existing endpoint answers it."""
    return {
        "id": str(row["id"]),
        "tenantId": str(row["tenant_id"]),
        "appId": str(row["app_id"]),
        "isEnabled": row["is_enabled"],
        "enabledModules": _json(row["enabled_modules"]),
        "customPermissions": _json(row["custom_permissions"]),
        "licenseCount": row["license_count"],
        "maxUsers": row["max_users"],
        "subscriptionTier": row["subscription_tier"],
        "expiresAt": utc(row["expires_at"]),
        "createdAt": utc(row["created_at"]),
        "updatedAt": utc(row["updated_at"]),
    }


def _listed(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "appId": str(row["app_id"]),
        "appCode": row["app_code"],
        "appName": row["app_name"],
        "description": row["description"],
        "icon": row["icon"],
        "baseUrl": row["base_url"],
        "isEnabled": row["is_enabled"],
        "enabledModules": _json(row["enabled_modules"]),
        "subscriptionTier": row["subscription_tier"],
        "licenseCount": row["license_count"],
        "maxUsers": row["max_users"],
        "expiresAt": utc(row["expires_at"]),
    }


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
