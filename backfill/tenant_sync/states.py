"""What is to be done for a login, of how the tenant's sync stands. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

Step = Literal["run", "finish", "join", "ready"]
"""All of it; what is left in the background; wait for another run; nothing."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What decides."""

    phase: str = "independent"
    busy: bool = False
    """Somebody holds the lease."""
    known: bool = False
    """The tenant's row is there."""
    unfinished: bool = False
    """A collection is missing, or did not end well."""
    due: bool = True
    """The next attempt may begin."""

    @property
    def essential(self) -> bool:
        """Whether a login can go on."""
        return self.known and self.phase in {"dependent", "completed"}


def next_step(seen: Standing | None, *, force: bool) -> Step:
    """What this caller does; `seen` is None for a tenant that nobody ever synced."""
    if seen is None:
        return "run"
    if seen.busy:
        return "ready" if seen.essential and not force else "join"
    if force or not seen.essential:
        return "run"
    return "finish" if seen.unfinished and seen.due else "ready"
