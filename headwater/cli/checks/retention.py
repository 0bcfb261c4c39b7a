"""Whether old things go: by whom, and which groups hold nothing back any more."""

from __future__ import annotations

from collections.abc import AsyncIterator

from headwater import retention
from headwater.cli.checks.finding import Finding, ok, warn
from headwater.cli.wiring import Wiring
from headwater.database import load
from headwater.retention.keeper import late


async def examine(wiring: Wiring) -> AsyncIterator[Finding]:
    """Findings from what the source remembers of retention."""
    database = await wiring.open_source()
    rows = await database.fetch(load(retention.__file__, "upkeep"))
    every = wiring.settings.retention.every
    missed = late([(row["what"], row["silent"]) for row in rows], every)
    if missed:
        detail = f"nobody removes what is old: {', '.join(missed)}"
        yield warn("retention", detail, "run headwater admin with every address, or headwater db gc by hand")
    elif not every:
        yield ok("retention", "by hand: retention.every is 0")
    else:
        yield ok("retention", f"every {every:.0f} s: {', '.join(row['what'] for row in rows) or 'not yet'}")
    for row in await database.fetch(load(retention.__file__, "given_up")):
        silent = f"nobody worked for it for {row['silent']:.0f} s: streams are trimmed past it"
        fix = f"headwater worker {row['app']}" if row["app"] else "declare it, or XGROUP DESTROY it"
        yield warn(f"retention of {row['name']}", silent, fix)
