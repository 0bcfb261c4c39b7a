"""What a comparison said, kept with what was known to be lost before it began.

Always holds: a comparison answers only for losses that had been recorded before it looked. One that is
recorded while it looks leaves what is known in doubt.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from headwater.database import Database, load
from headwater.replay.digest import Mirrored
from headwater.replay.examining import Finding


class Signals(NamedTuple):
    """What tells that something may have been lost, at one moment."""

    gap: int
    sink: str
    epoch: int


async def signals(source: Database, sink: Database, app: str) -> Signals:
    """The loss signals of this moment. Raises DatabaseUnavailable."""
    epoch = await source.fetchval(load(__file__, "epoch"))
    row = await sink.fetchrow(load(__file__, "signals"), app)
    return Signals(row["gap"], row["sink"], epoch) if row else Signals(0, "", epoch)


async def agreed(source: Database, tenant: str, mirrored: Mirrored, before: Signals) -> None:
    """Remember a clean comparison. `before`: the signals drawn before it began."""
    about = (tenant, mirrored.app, mirrored.subject)
    await source.execute(load(__file__, "record_pass"), *about, *before)


async def differs(source: Database, tenant: str, found: Finding, about: tuple[str, Signals]) -> None:
    """Remember a comparison that found differences. `about`: the application, and the signals before it."""
    app, before = about
    reason = ", ".join(f"{count} {kind}" for kind, count in found.kinds.items())
    await source.execute(
        load(__file__, "agreement_keep"),
        *(tenant, app, found.subject, "differing", reason, 1, found.seconds),
        *(found.source_count, found.applied_count, msgspec.json.encode(found.kinds).decode(), *before, False),
    )
