"""`headwater bench`: figures beside their limits."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click

from headwater.bench import report
from headwater.bench.applying import apply
from headwater.bench.backfilling import backfill
from headwater.bench.crashing import crash
from headwater.bench.figures import Figure, table
from headwater.bench.idling import idle
from headwater.bench.latency import latency
from headwater.bench.publishing import publish
from headwater.bench.reconciling import reconcile
from headwater.bench.relaying import relay
from headwater.bench.retaining import retain
from headwater.bench.sizes import Sizes, sizes
from headwater.bench.world import World, world
from headwater.cli import running
from headwater.cli.invocation import Invocation
from headwater.cli.output import as_json
from headwater.config import LogSettings
from headwater.testing import running_servers

Section = Callable[[World, Sizes], Awaitable[list[Figure]]]
SECTIONS: dict[str, Section] = {
    "publish": publish,
    "relay": relay,
    "apply": apply,
    "latency": latency,
    "backfill": backfill,
    "reconcile": reconcile,
    "retain": retain,
    "idle": idle,
    "crash": crash,
}
ALL = "all"


@click.command(
    epilog="Examples:  headwater bench --quick  ·  headwater bench apply latency  ·  "
    "headwater --json bench publish --events 50000 --rounds 5"
)
@click.argument("sections", nargs=-1, type=click.Choice([*SECTIONS, ALL]), metavar="[SECTION]...")
@click.option("--quick", is_flag=True, help="Smaller sizes, one round: under a minute.")
@click.option(
    "--events", type=click.IntRange(100, 10_000_000), help="Of every backlog, in place of its size."
)
@click.option("--rounds", type=click.IntRange(1, 100), help="Of each throughput; medians are printed.")
@click.option("--seconds", type=click.FloatRange(0.1, 3600), help="Length of each run at a fixed rate.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Keep the JSON document in this file too.",
)
@click.pass_obj
def command(invocation: Invocation, /, sections: Sequence[str], save: Path | None, **asked: Any) -> None:
    """Measure publish, relay, apply, latency, backfill, reconcile, retain, idle, crash, or all of them.

    Starts servers of its own that are as careful as real ones, or uses those of
    HEADWATER_TEST_REDIS_URL and HEADWATER_TEST_POSTGRES_URL; never those of a project. Every rate
    stands beside what the servers give without headwater in the same run: compare the shares.
    """
    wanted = [name for name in SECTIONS if name in sections or ALL in sections or not sections]
    log = LogSettings(level="debug" if invocation.verbose else "error")
    figures, about = running.run(_measure(invocation, wanted, sizes(**asked)), log)
    found = report.document(figures, about)
    if save:
        save.write_text(as_json({"schema": "headwater.bench.v1", **found}), encoding="utf-8")
    invocation.out.note("\n".join(f"{name}: {value}" for name, value in about.items()))
    invocation.out.result("bench", found, text=table(figures))


async def _measure(
    invocation: Invocation, sections: Sequence[str], size: Sizes
) -> tuple[list[Figure], dict[str, Any]]:
    if sys.platform == "win32":
        raise click.UsageError("the bench runs where the servers of its own do: on Linux and macOS")
    figures: list[Figure] = []
    async with running_servers(durable=True) as servers, world(servers) as shop:
        about = await report.conditions(shop, servers, size)
        for name in sections:
            invocation.out.note(f"measuring {name} ...")
            figures += await SECTIONS[name](shop, size)
    return figures, about
