"""`headwater sync customers`: serve one side, sync now, see how both stand."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from backfill.customer_sync.endpoints import as_data
from backfill.customer_sync.exchange import Outcome
from backfill.customer_sync.service import PORTS
from backfill.customer_sync.system import Side, Sides, opened, serving
from consumers.customer_records.meeting import SIDES
from consumers.customer_records.store import Standing
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table

_EXAMPLES = "Examples:  headwater sync customers status  ·  headwater sync customers trigger --side auth"
_SIDE = click.Choice(list(SIDES))


@click.group("customers", epilog=_EXAMPLES)
def customers() -> None:
    """Keep the records of auth service and customer service in step."""


@customers.command(
    epilog="Examples:  headwater sync customers serve --side auth  ·  "
    "headwater sync customers serve --side customer --host 0.0.0.0 --port 8081"
)
@click.option("--side", type=_SIDE, required=True, help="Which service this is.")
@click.option("--host", help="Setting customer_sync.host.")
@click.option("--port", type=click.IntRange(0, 65_535), help="8080 for auth, 8081 for customer.")
@click.pass_obj
def serve(invocation: Invocation, side: Side, host: str | None, port: int | None) -> None:
    """Serve one side's endpoints, and sync with the other service by the clock.

    /livez, /readyz and /metrics are served beside them. The first Ctrl-C lets what is in hand finish.
    """
    invocation.load({"customer_sync.host": host})

    async def work(stop: asyncio.Event) -> None:
        async with opened(invocation) as wiring:
            where = (invocation.settings.customer_sync.host, PORTS[side] if port is None else port)
            await serving(wiring, side, where, invocation.out.note, stop)

    invocation.serve(work)


@customers.command(
    epilog="Examples:  headwater sync customers follow  ·  headwater sync customers follow --side auth"
)
@click.option("--side", type=_SIDE, help="Only this one; default: each whose database is named here.")
@click.pass_obj
def follow(invocation: Invocation, side: Side | None) -> None:
    """Say each side's edits on the stream `customers`, and take those of the other.

    Any number of processes may. What the stream loses the next sync by the clock, or `trigger`, brings.
    """
    told: dict[str, dict[str, int]] = {}

    async def work(stop: asyncio.Event) -> None:
        from backfill.customer_sync import following  # noqa: PLC0415 (help needs no worker)

        async with following.opened(invocation) as wiring:
            here: list[Side] = [side] if side is not None else Sides(wiring).here or [SIDES[0]]
            both = following.Following(wiring)
            await both.open(here)
            try:
                await both.run(stop)
            finally:
                for one in here:
                    done = both.workers[one].statistics()
                    told[one] = {"said": both.tellers[one].said, **done}

    invocation.serve(work)
    lines = [
        f"{one}: said {n['said']}, applied {n['applied']}, parked {n['parked']}" for one, n in told.items()
    ]
    invocation.out.result("sync.customers.follow", {"sides": told}, text="\n".join(lines))


@customers.command(
    epilog="Examples:  headwater sync customers trigger  ·  headwater sync customers trigger --side auth"
)
@click.option("--side", type=_SIDE, help="Which side asks the other; default: the first with a database.")
@click.pass_obj
def trigger(invocation: Invocation, side: Side | None) -> int:
    """Sync in both directions now: take what the other service has, tell it what we have.

    Ends with 1 when a record did not arrive.
    """

    async def work() -> Outcome:
        async with opened(invocation) as wiring:
            return await Sides(wiring).trigger(side)

    outcome = invocation.run(work())
    data = as_data(outcome)
    rows = [(name, *_counts(data[name]["counts"]), data[name]["failed"]) for name in ("pulled", "pushed")]
    problems = [(name, *one.values()) for name in ("pulled", "pushed") for one in data[name]["problems"]]
    text = Table(("direction", *_VERDICTS, "failed"), rows).plain()
    if problems:
        text += "\n" + "\n".join("  ".join(one) for one in problems)
    invocation.out.result("sync.customers.trigger", data, text=text)
    return int(any(data[name]["failed"] for name in ("pulled", "pushed")))


_VERDICTS = ("applied", "dropped", "conflict", "quarantined", "refused")


def _counts(counts: dict[str, int]) -> list[int]:
    return [counts.get(verdict, 0) for verdict in _VERDICTS]


@customers.command(
    epilog="Examples:  headwater sync customers status  ·  headwater --json sync customers status"
)
@click.pass_obj
def status(invocation: Invocation) -> int:
    """How far the services are apart, by direction, of those whose database is named here.

    Ends with 1 when something is unsynced, in conflict or quarantined.
    """

    async def work() -> dict[str, Standing]:
        async with opened(invocation) as wiring:
            return await Sides(wiring).standings()

    found = invocation.run(work())
    rows = [
        (f"{side} -> {other}", one.records, one.unsynced, one.conflicts, one.quarantined, one.age)
        for side, other in (SIDES, SIDES[::-1])
        if (one := found.get(side)) is not None
    ]
    head = ("direction", "records", "unsynced", "conflicts", "quarantined", "last sync (s ago)")
    data: dict[str, Any] = {"sides": found}
    invocation.out.result("sync.customers.status", data, text=Table(head, rows))
    return int(any(one.unsynced or one.conflicts or one.quarantined for one in found.values()))
