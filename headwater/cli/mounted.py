"""Groups of commands whose content is the project's: `backfill.commands` names them, by their whole path.

    commands = {"sync orders": Entry("backfill.orders.commands:orders", "Keep orders in step.")}

A project that names none has none; nothing of it is imported until such a group is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headwater.cli.lazy import Entry, LazyGroup
from headwater.cli.project import find


class Mounted(LazyGroup):
    """The commands of the project whose path begins with this group's name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, table={}, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names that the project gives. Raises DeclarationError where no project is."""
        self._find(ctx)
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The project's command of a name, imported now."""
        self._find(ctx)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the project's summaries; nothing where no project is."""
        if self.list_commands(ctx):
            super().format_commands(ctx, formatter)

    def _find(self, ctx: click.Context) -> None:
        if not self.table:
            self.table = mounted(getattr(ctx.obj, "project_dir", Path.cwd()), self.name or "")


def mounted(directory: Path, group: str) -> dict[str, Entry]:
    """The commands that a project hangs under a group, by name. Raises DeclarationError."""
    given = find(directory).commands
    return {
        name: entry
        for path, entry in given.items()
        for above, _, name in [path.rpartition(" ")]
        if above == group
    }


@click.group(
    "sync",
    cls=Mounted,
    epilog="Examples:  headwater sync users setup --dry-run  ·  headwater sync users setup",
)
def sync() -> None:
    """The project's own syncs: what they are, each one's help says."""


@click.group("keys", cls=Mounted, epilog="Examples:  headwater keys fingerprint")
def keys() -> None:
    """The keys under which the project seals what it stores."""


@click.group("conflicts", cls=Mounted, epilog="Examples:  headwater conflicts list")
def conflicts() -> None:
    """What two sides edited without knowing of each other."""
