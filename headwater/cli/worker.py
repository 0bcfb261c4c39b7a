"""`headwater worker`: run applications' workers in this process until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

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
from headwater.errors import SettingsError

_LOOK = 0.1


@click.command(
    epilog="Examples:  headwater worker crm  ·  headwater worker crm hr --health-port 9100  ·  "
    "headwater worker crm --once  ·  headwater worker --temporal"
)
@click.argument("apps", nargs=-1, metavar="APP...")
@click.option("--temporal", is_flag=True, help="Also work for Temporal: the project's workflows.")
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
    /,
    apps: tuple[str, ...],
    temporal: bool,
    once: bool,
    health_port: int | None,
    **given: str | None,
) -> None:
    """Apply the events of applications to their databases; with --temporal, work for Temporal, too.

    Any number of processes may work for one application; start and stop them at will. Ctrl-C or
    SIGTERM lets this one finish what it has in hand; a second one stops it at once.
    """
    if not apps and not temporal:
        raise click.UsageError("name an application, or say --temporal")
    if once and temporal:
        raise click.UsageError("--once says when events are applied: Temporal has no such end")
    invocation.load(
        {"delivery.consumer_name": given["name"], "delivery.drain_timeout": given["drain_timeout"]}
    )
    workers: list[Worker] = []

    async def work(stop: asyncio.Event) -> None:
        async with opened(invocation) as wiring:
            wanted = dict.fromkeys(wiring.project.application(app).app for app in apps)
            workers.extend([await wiring.worker(app) for app in wanted])
            async with _at_work(wiring, temporal) as beside:
                await _run(wiring, workers, stop, beside, once=once, port=health_port)

    invocation.serve(work, in_hand=lambda: sum(worker.statistics()["in_hand"] for worker in workers))
    _report(invocation, workers)


@contextlib.asynccontextmanager
async def _at_work(wiring: Wiring, temporal: bool) -> AsyncIterator[list[Any]]:
    """What runs beside the workers."""
    if not temporal:
        yield []
        return
    if wiring.project.temporal is None:
        raise SettingsError("the project has nothing for Temporal", hint="leave out --temporal")
    async with wiring.project.temporal(wiring) as one:
        yield [one]


async def _run(
    wiring: Wiring,
    workers: list[Worker],
    stop: asyncio.Event,
    beside: list[Any],
    *,
    once: bool,
    port: int | None,
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
        for one in beside:
            loops.start("temporal", one.run(), one.stop)
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
