"""`headwater relay`: move what is in the outbox to the streams."""

from __future__ import annotations

import asyncio

import click

from headwater.cli.connected import opened
from headwater.cli.health import health_server, relay_checks
from headwater.cli.invocation import Invocation
from headwater.cli.loops import Loops
from headwater.cli.readings import Sampler, backlog
from headwater.cli.republish import republish
from headwater.cli.wiring import Wiring
from headwater.publish import Relay

_LOOK = 0.05


@click.group(
    invoke_without_command=True,
    epilog="Examples:  headwater relay  ·  headwater relay --health-port 9101  ·  headwater relay --once  ·  "
    "headwater relay republish --since 2h --dry-run",
)
@click.option("--once", is_flag=True, help="End when nothing waits in the outbox.")
@click.option(
    "--health-port", type=click.IntRange(0, 65_535), help="Serve /livez /readyz /metrics on loopback."
)
@click.pass_context
def command(context: click.Context, once: bool, health_port: int | None) -> None:
    """Move events from the outbox to their streams, in order.

    One relay moves at a time; any others stand by and take over within a second.
    """
    if context.invoked_subcommand is None:
        _serve(context.obj, once=once, health_port=health_port)
    elif once or health_port is not None:
        raise click.UsageError("--once and --health-port are for the relay itself")


def _serve(invocation: Invocation, *, once: bool, health_port: int | None) -> None:
    moved: list[int] = []

    async def work(stop: asyncio.Event) -> None:
        async with opened(invocation) as wiring:
            relay = wiring.relay()
            await _run(wiring, relay, stop, once=once, port=health_port)
            moved.append(relay.moved)

    invocation.serve(work)
    invocation.out.result("relay", {"entries": sum(moved)}, text=f"moved {sum(moved)} entries")


async def _run(wiring: Wiring, relay: Relay, stop: asyncio.Event, *, once: bool, port: int | None) -> None:
    async def sample(sampler: Sampler) -> None:
        await sampler.streams()
        await sampler.source()

    source = await wiring.open_source()  # a wrong address is told at once, not waited out
    await wiring.broker.execute("PING")

    async def finish() -> None:
        while not stop.is_set() and (await backlog(source)).waiting:
            await asyncio.sleep(_LOOK)

    async with health_server(wiring, port, relay_checks(relay), sample), Loops() as loops:
        loops.start("relay", relay.run(poll=wiring.settings.relay.poll), relay.stop)
        if once:
            loops.start("once", finish(), stop.set)
        else:
            keeper = wiring.keeper()
            loops.start("retention", keeper.run(), keeper.stop)
        await loops.until(stop)


command.add_command(republish)
