"""Measure headwater on this machine: `python -m tests.bench [--quick | --smoke] [--only PART] [--json]`.

Starts servers of its own, or uses those named by HEADWATER_TEST_REDIS_URL and
HEADWATER_TEST_POSTGRES_URL. Prints figures beside the limits of the same run, and keeps them in
bench-results/.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from headwater import telemetry
from headwater.config import LogSettings
from tests.bench import applying, catching_up, latency, publishing, report
from tests.bench.sizes import FULL, QUICK, SMOKE, Sizes
from tests.bench.world import World, servers, world

Part = Callable[[World, Sizes], Awaitable[list[report.Figure]]]
PARTS: dict[str, Part] = {
    "direct": publishing.direct,
    "outbox": publishing.outbox,
    "relay": publishing.relayed,
    "apply": applying.apply,
    "latency": latency.end_to_end,
    "backfill": catching_up.backfill,
}


def arguments() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="smaller sizes, one round")
    size.add_argument("--smoke", action="store_true", help="tiny sizes: does it still run?")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part (may be given again)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    return parser.parse_args()


async def measure(
    sizes: Sizes, parts: list[str], say: Callable[[str], None]
) -> tuple[list[report.Figure], dict[str, Any]]:
    """Figures of the parts, and their conditions."""
    figures: list[report.Figure] = []
    async with servers(careful=sizes.careful) as running, world(running) as shop:
        about = await report.conditions(shop, running, sizes)
        for part in parts:
            say(f"measuring {part} …")
            figures += await PARTS[part](shop, sizes)
    return figures, about


def main() -> None:
    """Measure, print, keep."""
    telemetry.configure(LogSettings(level="error"))
    asked = arguments()
    sizes = SMOKE if asked.smoke else QUICK if asked.quick else FULL

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    work = measure(sizes, asked.only or list(PARTS), say)
    try:
        import uvloop  # noqa: PLC0415 (an extra)
    except ImportError:
        figures, about = asyncio.run(work)
    else:
        figures, about = uvloop.run(work)
    text = report.document(figures, about)
    if asked.json:
        print(text)
    else:
        report.show(figures, about)
    if not asked.smoke:
        say(f"kept in {report.keep(text)}")


if __name__ == "__main__":
    main()
