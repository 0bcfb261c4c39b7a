"""`headwater config`: settings in force, whether they hold together, and all there are."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from headwater import config
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.cli.overriding import put, take_back, told


@click.group(
    epilog="Examples:  headwater config show --sources  ·  headwater config check  ·  "
    "headwater config set USE_TEMPORAL_FOR_AUTH false"
)
def command() -> None:
    """Show, check and change settings."""


command.add_command(put, "set")
command.add_command(take_back, "unset")


@command.command(epilog="Examples:  headwater config show  ·  headwater --json config show --sources")
@click.option(
    "--sources",
    is_flag=True,
    help="Also where each value came from; only those that were set, and what `config set` put on top.",
)
@click.pass_obj
def show(invocation: Invocation, sources: bool) -> None:
    """Print every setting in force; secrets are masked."""
    rows = [row for row in config.show(invocation.settings) if not sources or row["source"] != "default"]
    if sources and invocation.settings.apps:
        rows += told(invocation)
    columns = ("key", "value", "source") if sources else ("key", "value")
    table = Table(columns, [[row[column] or None for column in columns] for row in rows])
    invocation.out.result("config.show", {"settings": rows}, text=table)


@command.command(epilog="Example:  headwater --env-file staging.env config check")
@click.pass_obj
def check(invocation: Invocation) -> None:
    """Read every source and check every range; exit code 2 when something is wrong."""
    count = len(invocation.settings.sources)
    invocation.out.result(
        "config.check", {"ok": True, "set": count}, text=f"settings hold together ({count} set)"
    )


@command.command(epilog="Example:  headwater config env > .env.example")
@click.pass_obj
def env(invocation: Invocation) -> None:
    """Print every variable with its default and meaning, as .env.example has it."""
    described: list[Any] = [msgspec.to_builtins(one) for one in config.describe()]
    invocation.out.result("config.env", {"settings": described}, text=config.env_example().rstrip("\n"))
