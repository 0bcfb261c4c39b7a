"""`headwater worker`: run applications' workers in this process until told to stop."""

from __future__ import annotations

import asyncio

import click

from headwater.broker import lag
from headwater.cli.connected import opened
from headwater.cli.health import health_server, worker_checks
from headwater.cli.invocation import Invocation
from headwater.cli.loops import Loops
from headwater.cli.readings import Sampler
from headwater.cli.wiring import Wiring
from headwater.delivery import Limits, Worker, letters
from headwater.delivery.applier import Applier

_LOOK = 0.1


@click.command(
    epilog="Examples:  headwater worker crm  ·  headwater worker crm hr --health-port 9100  ·  "
    "headwater worker crm --once"
)
@click.argument("apps", nargs=-1, required=True, metavar="APP...")
@click.option(
    "--name", help="Setting delivery.consumer_name; without it, the smallest free slot: crm-1, crm-2, …"
)
@click.option("--drain-timeout", metavar="TIME", help="Setting delivery.drain_timeout.")
@click.option("--once", is_flag=True, help="End when nothing is left to read, pending or to replay.")
@click.option(
    "--health-port", type=click.IntRange(0, 65_535), help="Serve /livez /readyz /metrics on loopback."
)
@click.pass_obj
def command(
    invocation: Invocation,
    apps: tuple[str, ...],
    name: str | None,
    drain_timeout: str | None,
    once: bool,
    health_port: int | None,
) -> None:
    """Apply the events of applications to their databases.

    Any number of processes may work for one application; start and stop them at will. Ctrl-C or
    SIGTERM lets this one finish what it has in hand; a second one stops it at once.
    """
    invocation.load({"delivery.consumer_name": name, "delivery.drain_timeout": drain_timeout})
    workers: list[Worker] = []

    async def work(stop: asyncio.Event) -> None:
        async with opened(invocation) as wiring:
            wanted = dict.fromkeys(wiring.project.application(app).app for app in apps)
            workers.extend([await wiring.worker(app) for app in wanted])
            await _run(wiring, workers, stop, once=once, port=health_port)

    invocation.serve(work, in_hand=lambda: sum(worker.statistics()["in_hand"] for worker in workers))
    _report(invocation, workers)


async def _run(
    wiring: Wiring, workers: list[Worker], stop: asyncio.Event, *, once: bool, port: int | None
) -> None:
    async def sample(sampler: Sampler) -> None:
        await sampler.streams()
        await sampler.letters()
        await sampler.gaps()

    if once:
        for worker in workers:
            await _fits(wiring, worker)
    async with health_server(wiring, port, worker_checks(workers), sample), Loops() as loops:
        for worker in workers:
            loops.start(f"worker {worker.consumer.app}", worker.run(), worker.stop)
        if once:
            loops.start("once", _finish(wiring, workers, stop), stop.set)
        await loops.until(stop)


async def _fits(wiring: Wiring, worker: Worker) -> None:
    """Raise at once what a worker without an end would wait for: tables that do not fit."""
    database = wiring.sinks[worker.consumer.app]
    await Applier(database, worker.consumer, name=worker.name, limits=Limits()).open()


async def _finish(wiring: Wiring, workers: list[Worker], stop: asyncio.Event) -> None:
    while not stop.is_set():
        if all([await _done(wiring, worker) for worker in workers]):
            return
        await asyncio.sleep(_LOOK)


async def _done(wiring: Wiring, worker: Worker) -> bool:
    if worker.statistics()["in_hand"]:
        return False
    for stream in worker.streams:
        behind = await lag.lag(wiring.broker, stream, worker.group)
        if behind is None or behind.unapplied:
            return False
    app = worker.consumer.app
    asked = letters.Filter(states=("replaying", "waiting"), limit=1)
    return not await letters.listed(wiring.sinks[app], app, asked)


def _report(invocation: Invocation, workers: list[Worker]) -> None:
    done = {worker.consumer.app: worker.statistics() for worker in workers}
    lines = [
        f"{app}: read {n['read']}, applied {n['applied']}, stale {n['stale']}, skipped {n['skipped']}, "
        f"retried {n['retried']}, parked {n['parked']}"
        for app, n in done.items()
    ]
    invocation.out.result("worker", {"applications": done}, text="\n".join(lines))
