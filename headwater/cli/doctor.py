"""`headwater doctor`: look at everything, and say what to do about what is wrong."""

from __future__ import annotations

from collections import Counter

import click

from headwater.cli.checks import Finding, fail, ok, postgres, redis, retention, warn
from headwater.cli.checks.finding import gathered
from headwater.cli.databases import places
from headwater.cli.invocation import Invocation
from headwater.cli.output import cell
from headwater.cli.project import Project, find
from headwater.cli.wiring import Wiring, wired
from headwater.config import Settings, masked
from headwater.errors import DeclarationError, SettingsError

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command(epilog="Examples:  headwater doctor  ·  headwater --json doctor  ·  headwater -q doctor")
@click.pass_obj
def command(invocation: Invocation) -> None:
    """Check settings, servers, schemas, streams and clocks; change nothing.

    Exit code 1 when something failed; every failed check prints its remedy. `-q` leaves out what is well.
    """
    settings = invocation.settings
    found = _settings(settings)
    try:
        project = find(
            invocation.project_dir, prefix=settings.key_prefix, aside=settings.backfill.side_streams
        )
    except (DeclarationError, SettingsError) as error:
        found.append(fail("project", str(error), error.hint or "correct the declaration named"))
    else:
        found.append(
            ok(
                "project",
                f"{len(project.catalogue.streams)} streams, {len(project.applications)} applications",
            )
        )
        found += _named(project, settings)
        found += invocation.run(_examine(project, settings))
    _report(invocation, found)


def _settings(settings: Settings) -> list[Finding]:
    called = f", {settings.env_label}" if settings.env_label else ""
    found = [ok("settings", f"{len(settings.sources)} set, {settings.environment}{called}")]
    if settings.redis_url is None:
        found.append(fail("redis", "none is named", "set HEADWATER_REDIS_URL, or use headwater dev"))
    if settings.source_url is None:
        found.append(
            warn(
                "source",
                "none is named: no relay, no backfill here",
                "set HEADWATER_SOURCE_URL where they run",
            )
        )
    if settings.environment == "production" and not settings.admin.keys:
        found.append(
            warn("admin keys", "none: the admin interface will not start", "headwater admin key NAME")
        )
    return found


def _named(project: Project, settings: Settings) -> list[Finding]:
    return [
        warn(
            app, "no database is named: no worker here", f"set HEADWATER_APP_{app.upper()}_URL where it runs"
        )
        for app in project.applications
        if app not in settings.apps
    ]


async def _examine(project: Project, settings: Settings) -> list[Finding]:
    production = settings.environment == "production"
    found: list[Finding] = []
    async with wired(project, settings) as wiring:
        if settings.redis_url is not None:
            examined = redis.examine(wiring.broker, project.catalogue, production=production)
            found += await gathered("redis", examined)
        if settings.source_url is not None or settings.apps:
            found += await _databases(wiring, production=production)
        if settings.source_url is not None and not any(one.state == "fail" for one in found):
            found += await gathered("retention", retention.examine(wiring))
        if project.checks is not None:
            found += await gathered("project", project.checks(settings))
    return found


async def _databases(wiring: Wiring, *, production: bool) -> list[Finding]:
    found: list[Finding] = []
    for place in places(wiring.project, wiring.settings):
        examine = postgres.source if place.name == "source" else postgres.application
        found += await gathered(place.name, examine(wiring, place, production=production))
    return found


def _report(invocation: Invocation, found: list[Finding]) -> None:
    counts = Counter(one.state for one in found)
    shown = [one for one in found if not invocation.quiet or one.state != "ok"]
    width = max((len(one.check) for one in shown), default=0)
    lines = []
    for one in shown:
        lines.append(f"{_MARKS[one.state]}  {one.check.ljust(width)}  {cell(masked(one.detail))}".rstrip())
        if one.fix:
            lines.append(f"{' ' * (width + 6)}  do: {cell(one.fix)}")
    lines.append(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed")
    data = {"checks": found, "ok": counts["ok"], "warn": counts["warn"], "fail": counts["fail"]}
    invocation.out.result("doctor", data, text="\n".join(lines))
    if counts["fail"]:
        raise SystemExit(1)
