"""What `/readyz` asks and `/metrics` shows, for each kind of process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

import msgspec

from headwater.admin import KeyRing, admin_application, run_admin
from headwater.admin.app import Check, Vital
from headwater.broker import provision
from headwater.cli.databases import missing, places, statuses
from headwater.cli.readings import Sampler
from headwater.cli.wiring import Wiring
from headwater.delivery import Worker
from headwater.publish import Relay

LOOPBACK = "127.0.0.1"


def server_checks(wiring: Wiring) -> dict[str, Check]:
    """Redis and the source answer, every migration was applied, every group exists."""

    async def redis() -> None:
        await wiring.broker.execute("PING")

    async def source() -> None:
        await (await wiring.open_source()).fetchval("SELECT 1")

    async def groups() -> str | None:
        drift = await provision.compare(wiring.broker, wiring.project.catalogue)
        lacking = [one for one in drift if one.state != "undeclared_group"]
        return f"{len(lacking)} groups are missing: headwater streams apply" if lacking else None

    return {"redis": redis, "source": source, "migrations": _migrations(wiring), "groups": groups}


def _migrations(wiring: Wiring) -> Check:
    complete = False

    async def migrations() -> str | None:
        nonlocal complete
        if not complete:
            lacking = missing(await statuses(places(wiring.project, wiring.settings)))
            if lacking:
                return f"not applied: {', '.join(lacking)}: headwater db migrate"
            complete = True  # nothing takes a migration back while we run
        return None

    return migrations


def worker_checks(workers: Iterable[Worker]) -> dict[str, Check]:
    """Each worker takes entries, and none of its loops got stuck."""

    def of(worker: Worker) -> Check:
        async def ready() -> str | None:
            return worker.trouble or None

        return ready

    def alive(worker: Worker) -> Check:
        async def lives() -> str | None:
            return f"stuck: {worker.wedged}" if worker.wedged else None

        return Vital(lives)

    checks: dict[str, Check] = {}
    for worker in workers:
        checks[f"worker {worker.consumer.app}"] = of(worker)
        checks[f"loops {worker.consumer.app}"] = alive(worker)
    return checks


def relay_checks(relay: Relay) -> dict[str, Check]:
    """The relay leads, or stands by without an error."""

    async def ready() -> str | None:
        return relay.last_error or None

    return {"relay": ready}


@contextlib.asynccontextmanager
async def health_server(
    wiring: Wiring,
    port: int | None,
    checks: Mapping[str, Check],
    sample: Callable[[Sampler], Awaitable[None]],
) -> AsyncIterator[None]:
    """`/livez`, `/readyz` and `/metrics` of this process, on loopback only; nothing without a port."""
    if port is None:
        yield
        return
    metrics = wiring.metrics
    sampler = Sampler(wiring, metrics)
    app = admin_application(
        KeyRing(wiring.settings.admin.keys),
        checks=checks,
        metrics=metrics,
        sample=lambda: sample(sampler),
        limits=msgspec.structs.replace(wiring.settings.admin, open_metrics=True),
    )
    async with run_admin(app, LOOPBACK, port):
        yield
