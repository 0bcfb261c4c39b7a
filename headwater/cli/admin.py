"""`headwater admin`: serve the admin HTTP interface, and make the keys that open it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from headwater.admin import KeyRing, admin_application, is_loopback, issue, run_admin
from headwater.cli.connected import opened
from headwater.cli.health import server_checks
from headwater.cli.invocation import Invocation
from headwater.cli.loops import Loops
from headwater.cli.readings import Sampler
from headwater.cli.wiring import Wiring
from headwater.config import AdminKey
from headwater.errors import SettingsError

_EXAMPLES = "Examples:  headwater admin  ·  headwater admin serve --port 9000  ·  headwater admin key ops"


F = TypeVar("F", bound=Callable[..., Any])


def _served(function: F) -> F:
    """The options of `serve`, which `headwater admin` alone takes too."""
    function = click.option(
        "--no-runner",
        is_flag=True,
        help="Queue backfills, compare nothing by itself, and let other processes do both.",
    )(function)
    function = click.option("--port", type=int, help="Setting admin.port; 0 is any free one.")(function)
    return click.option("--host", help="Setting admin.host.")(function)


@click.group(invoke_without_command=True, epilog=_EXAMPLES)
@_served
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Serve the admin HTTP interface (alone: as `serve`); make its keys."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(serve, **options)
    elif any(options.values()):
        raise click.UsageError(f"give options behind {ctx.invoked_subcommand!r}")


@command.command(
    epilog="Examples:  headwater admin serve  ·  headwater admin serve --host 0.0.0.0 --port 9000  ·  "
    "headwater admin serve --no-runner"
)
@_served
@click.pass_obj
def serve(invocation: Invocation, host: str | None, port: int | None, no_runner: bool) -> None:
    """Serve the project's endpoints, /livez, /readyz and /metrics, and run backfills and comparisons."""
    invocation.load({"admin.host": host, "admin.port": None if port is None else str(port)})
    keys = _keys(invocation)

    async def work(stop: asyncio.Event) -> None:
        async with opened(invocation) as wiring:
            await _serve(invocation, wiring, keys, stop, runs=not no_runner)

    invocation.serve(work)


def _keys(invocation: Invocation) -> KeyRing:
    settings = invocation.settings
    production = settings.environment == "production"
    if production and any(one.id == "development" for one in settings.admin.keys):
        raise SettingsError(
            "the admin key 'development' of compose.yaml is known to everybody",
            hint="make one: headwater admin key NAME",
        )
    if settings.admin.keys:
        return KeyRing(settings.admin.keys)
    if production:
        raise SettingsError("no admin key is configured", hint="make one: headwater admin key NAME")
    if not is_loopback(settings.admin.host):
        raise SettingsError(
            f"the admin interface would be open on {settings.admin.host} without a key of yours",
            hint="make one: headwater admin key NAME",
        )
    key, line = issue("this-run", ("read", "write"), ("*",))
    click.echo(f"no admin key is configured; for this run: {key}", err=True)
    return KeyRing((AdminKey.parse(line),))


async def _serve(
    invocation: Invocation, wiring: Wiring, keys: KeyRing, stop: asyncio.Event, *, runs: bool
) -> None:
    await wiring.open_source()
    metrics = wiring.metrics
    app = admin_application(
        keys,
        checks=server_checks(wiring),
        mounts=await wiring.http(),
        metrics=metrics,
        sample=Sampler(wiring, metrics).everything,
        limits=wiring.settings.admin,
    )
    where = wiring.settings.admin
    async with run_admin(app, where.host, where.port) as (host, port), Loops() as loops:
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        invocation.out.note(f"serving {url}")
        if runs:
            runner = await wiring.runner()
            loops.start("runner", runner.run(), runner.stop)
            rounds = await wiring.rounds()
            loops.start("rounds", rounds.run(), rounds.stop)
        keeper = wiring.keeper()
        loops.start("retention", keeper.run(), keeper.stop)
        await loops.until(stop)


def _instant(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("a date or an ISO 8601 time: 2027-01-31") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


@command.command(
    epilog="Examples:  headwater admin key ops  ·  "
    "headwater admin key support --scopes read --tenants T1,T2  ·  "
    "headwater admin key trial --expires 2027-01-31"
)
@click.argument("key_id", metavar="ID")
@click.option("--scopes", default="read,write", show_default=True, help="read, write, or both.")
@click.option("--tenants", default="all", show_default=True, help="all, or tenant ids with commas between.")
@click.option("--expires", callback=_instant, help="When it stops to open anything: a date or ISO 8601 time.")
@click.pass_obj
def key(invocation: Invocation, key_id: str, scopes: str, tenants: str, expires: datetime | None) -> None:
    """Make a key, and print it once: only its digest is stored, in a setting."""
    whose = ["*"] if tenants == "all" else _words(tenants)
    try:
        secret, line = issue(key_id, _words(scopes), whose, expires=expires)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    data: dict[str, Any] = {"id": key_id, "key": secret, "setting": line}
    text = (
        f"key:      {secret}\nsetting:  HEADWATER_ADMIN_KEYS={line}\n"
        "Give the key away now: it is stored nowhere. Several settings stand with commas between them."
    )
    invocation.out.result("admin.key", data, text=text)


def _words(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]
