"""`headwater backfill`: say past facts again to one application, and watch it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import asyncpg
import click

from headwater.cli.connected import connected
from headwater.cli.invocation import Invocation
from headwater.cli.jobs import Follower, as_data, as_text, asked_by, far
from headwater.cli.output import Table
from headwater.cli.params import JobId, Since
from headwater.cli.wiring import Wiring
from headwater.errors import HeadwaterError, JobRefused
from headwater.replay import History, Job, Jobs, Standing

_GOOD = {"verified", "partial"}
_EXAMPLES = (
    "Examples:  headwater backfill plan crm --tenant T  ·  headwater backfill start crm --tenant T  ·  "
    "headwater backfill list"
)


class _Scope(NamedTuple):
    app: str
    tenant: str
    since: datetime | None
    only: tuple[str, ...]


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Give one application the past of one tenant, and prove that both agree."""


async def _options(wiring: Wiring, history: History, scope: _Scope) -> tuple[str, dict[str, bool]]:
    """The application's own name and the switches that `--only` means. Raises what forbids a backfill."""
    app = wiring.project.application(scope.app).app
    subjects = [one.subject for one in history.subjects(app, {})]
    unknown = set(scope.only) - set(subjects)
    if unknown:
        raise click.UsageError(
            f"{app} takes no {', '.join(sorted(unknown))} from a backfill; it takes: {', '.join(subjects)}"
        )
    try:
        enabled = await history.enabled(scope.tenant, app)
    except asyncpg.DataError:
        raise click.UsageError(f"{scope.tenant!r} is no tenant id of this source") from None
    if not enabled:
        raise HeadwaterError(
            f"{app} is not enabled for the tenant {scope.tenant}",
            hint="enable it: enabling starts a backfill by itself",
        )
    wanted = scope.only or subjects
    return app, {one.option: one.subject in wanted for one in wiring.project.backfills}


def _scoped(function: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--only", multiple=True, metavar="SUBJECT", help="Only this subject; may be repeated."),
        click.option(
            "--since",
            type=Since(),
            metavar="TIME",
            help="Only what was created or changed since; such a run is partial.",
        ),
        click.option("--tenant", required=True, help="Whose past."),
        click.argument("app"),
    ):
        function = decorate(function)
    return function


@command.command(
    epilog="Examples:  headwater backfill plan crm --tenant T  ·  "
    "headwater backfill plan crm --tenant T --since 7d"
)
@_scoped
@click.pass_obj
def plan(
    invocation: Invocation, app: str, tenant: str, since: datetime | None, only: tuple[str, ...]
) -> None:
    """Count what a backfill would say; say nothing."""

    async def work(wiring: Wiring) -> tuple[str, dict[str, int]]:
        history = await wiring.history()
        name, options = await _options(wiring, history, _Scope(app, tenant, since, only))
        return name, await history.dry_run(tenant, name, options, since)

    name, counts = connected(invocation, work)
    table = Table(("subject", "rows"), [*counts.items(), ("total", sum(counts.values()))])
    data = {"application": name, "tenant": tenant, "since": since, "subjects": counts}
    invocation.out.result("backfill.plan", data, text=table)


@command.command(
    epilog="Examples:  headwater backfill start crm --tenant T  ·  "
    "headwater backfill start crm --tenant T --since 2026-11-01T00:00:00Z --only users  ·  "
    "headwater backfill start crm --tenant T --detach  ·  "
    "headwater backfill start crm --tenant T --rate 2000 --priority -5"
)
@_scoped
@click.option("--priority", type=click.IntRange(-100, 100), default=0, help="The larger the sooner.")
@click.option("--rate", type=click.IntRange(1, 10_000_000), help="Most rows a second.")
@click.option("--detach", is_flag=True, help="Only queue it: a running `headwater admin` takes it up.")
@click.option("--dry-run", is_flag=True, help="As `plan`: count, and say nothing.")
@click.pass_context
def start(
    ctx: click.Context, /, detach: bool, dry_run: bool, priority: int, rate: int | None, **scope: Any
) -> None:
    """Queue a backfill and run it here, unless a runner elsewhere takes it up first.

    Ends with 0 only when source and application were proven to agree, or for a partial run.
    """
    if dry_run:
        ctx.invoke(plan, **scope)
        return
    invocation: Invocation = ctx.obj

    async def work(wiring: Wiring) -> Job:
        history = await wiring.history()
        job = await _queue(wiring, history, _Scope(**scope), {"priority": priority, "rate": rate})
        invocation.out.note(f"backfill {job.id} of {job.app}")
        return job if detach else await Follower(invocation.out, wiring, job.id).run_to_end()

    _finish(invocation, connected(invocation, work), detached=detach)


async def _queue(wiring: Wiring, history: History, scope: _Scope, pace: dict[str, Any]) -> Job:
    scope = scope._replace(
        tenant=await history.spelled(scope.tenant, wiring.project.application(scope.app).app)
    )
    app, options = await _options(wiring, history, scope)
    about = {
        "since": scope.since,
        "asked_by": asked_by(),
        "reason": "command line",
        "delay": wiring.settings.backfill.settle_after_toggle,
        **pace,
    }
    async with (await wiring.open_source()).transaction() as tx:
        try:
            return await history.start(tx, scope.tenant, app, options, about)
        except JobRefused as refused:
            if refused.job is not None:
                refused.hint = f"watch it: headwater backfill show {refused.job.id} -w"
            raise


def _finish(invocation: Invocation, job: Job, *, detached: bool = False) -> None:
    invocation.out.result("backfill.show", {"job": as_data(job)}, text=as_text(job))
    if not detached and job.state not in _GOOD:
        raise SystemExit(1)


@command.command(
    "list",
    epilog="Examples:  headwater backfill list  ·  headwater --json backfill list --tenant T --limit 5",
)
@click.option("--tenant", help="Only this tenant's.")
@click.option("--app", help="Only this application's.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.pass_obj
def list_(invocation: Invocation, tenant: str | None, app: str | None, limit: int) -> None:
    """List backfills, newest first."""

    async def work(wiring: Wiring) -> list[Job]:
        name = wiring.project.application(app).app if app else None
        return await Jobs(await wiring.open_source()).listed(tenant, name, limit=limit)

    jobs = connected(invocation, work)
    columns = ("job", "application", "tenant", "state", "created", "finished", "published", "failed")
    rows = [
        (
            *(job.id, job.app, job.tenant, job.state, job.created_at, job.finished_at),
            sum(part.published for part in job.parts),
            sum(part.failed for part in job.parts),
        )
        for job in jobs
    ]
    invocation.out.result(
        "backfill.list", {"jobs": [as_data(job) for job in jobs]}, text=Table(columns, rows)
    )


@command.command(epilog="Examples:  headwater backfill show JOB  ·  headwater backfill show JOB -w")
@click.argument("job", type=JobId())
@click.option("-w", "--watch", is_flag=True, help="Follow it to its end; 0 only when it ended well.")
@click.option("--details", is_flag=True, help="Also single rows and the audit trail, in JSON.")
@click.pass_obj
def show(invocation: Invocation, job: str, watch: bool, details: bool) -> None:
    """Show one backfill."""

    async def work(wiring: Wiring) -> tuple[Job, list[dict[str, Any]], Standing | None]:
        jobs = Jobs(await wiring.open_source())
        found = await _get(jobs, job)
        if watch:
            found = await Follower(invocation.out, wiring, job).watch()
        return found, await jobs.events(job), await far(wiring, found)

    found, events, standing = connected(invocation, work)
    if watch:
        _finish(invocation, found)
        return
    extra: dict[str, Any] = {"events": events} if details else {}
    data = {"job": as_data(found, details=details), "progress": standing, **extra}
    text = as_text(found, events if details else (), standing)
    invocation.out.result("backfill.show", data, text=text)


async def _get(jobs: Jobs, job: str) -> Job:
    found = await jobs.get(job)
    if found is None:
        raise HeadwaterError(f"no such backfill ({job})", hint="headwater backfill list")
    return found


@command.command(
    epilog="Examples:  headwater backfill cancel JOB  ·  headwater backfill cancel JOB --dry-run"
)
@click.argument("job", type=JobId())
@click.option("--dry-run", is_flag=True, help="Say what would end; end nothing.")
@click.pass_obj
def cancel(invocation: Invocation, job: str, dry_run: bool) -> None:
    """End a backfill within a second; what it said already stays said."""

    async def work(wiring: Wiring) -> tuple[Job, bool]:
        jobs = Jobs(await wiring.open_source())
        found = await _get(jobs, job)
        if found.finished:
            raise HeadwaterError(f"the backfill has ended already ({found.state})")
        if not dry_run:
            await jobs.cancel(found.tenant, found.app, asked_by(), job=job)
            found = await _get(jobs, job)
        return found, not dry_run

    found, done = connected(invocation, work)
    word = "ends within a second" if done else "would end"
    word = "cancelled" if found.state == "cancelled" else word
    data = {"job": as_data(found), "dry_run": dry_run}
    invocation.out.result("backfill.cancel", data, text=f"{found.id}  {found.app}  {word}")


@command.command(epilog="Examples:  headwater backfill pause JOB")
@click.argument("job", type=JobId())
@click.pass_obj
def pause(invocation: Invocation, job: str) -> None:
    """Stop a backfill from reading on, within a second; it keeps its place."""
    _steer(invocation, job, "pause", "pauses within a second")


@command.command(epilog="Examples:  headwater backfill resume JOB")
@click.argument("job", type=JobId())
@click.pass_obj
def resume(invocation: Invocation, job: str) -> None:
    """Let a paused backfill go on behind its last chunk."""
    _steer(invocation, job, "resume", "goes on")


@command.command(epilog="Examples:  headwater backfill retry JOB")
@click.argument("job", type=JobId())
@click.pass_obj
def retry(invocation: Invocation, job: str) -> None:
    """Queue a backfill again that failed, diverged or was cancelled.

    Subjects that were said to their end are compared and repaired only; the others go on behind their
    last chunk. A running `headwater admin` takes it up.
    """
    _steer(invocation, job, "retry", "waits for a runner")


def _steer(invocation: Invocation, job: str, what: Literal["pause", "resume", "retry"], word: str) -> None:
    async def work(wiring: Wiring) -> Job:
        history = await wiring.history()
        found = await _get(history.jobs, job)
        if what == "retry" and not await history.enabled(found.tenant, found.app):
            raise HeadwaterError(f"{found.app} is not enabled for the tenant {found.tenant}")
        steer = {"pause": history.jobs.pause, "resume": history.jobs.resume, "retry": history.jobs.retry}
        return await steer[what](found, asked_by())

    found = connected(invocation, work)
    text = f"{found.id}  {found.app}  {found.state}: {word}" if found.state != "paused" else None
    data = {"job": as_data(found)}
    invocation.out.result(f"backfill.{what}", data, text=text or f"{found.id}  {found.app}  paused")
