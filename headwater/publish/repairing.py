"""Say again by itself what applications miss, as long as the outbox has it and it is not too much.

What is too much, or not in the outbox any more, stays open: the log and `headwater doctor` name the command.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from headwater import telemetry
from headwater.broker import Broker, repairs
from headwater.broker.repairs import Missing
from headwater.database import Connection
from headwater.errors import HeadwaterError
from headwater.publish.republish import Plan, Republisher, Run
from headwater.publish.span import Span, command, kept, repairing
from headwater.topology import Catalogue

log = telemetry.logger(__name__)
LOOK = 5.0
"""Seconds between looks at what applications miss."""
TRIES = 3
"""Runs for one gap: what they bring may be lost again."""
BY = "relay"


class Repairer:
    """Answers what applications ask for."""

    def __init__(
        self, republisher: Republisher, broker: Broker, catalogue: Catalogue, most: int, every: float = LOOK
    ) -> None:
        """`most`: rows said again for one stream; `every`: seconds between looks."""
        self._republisher = republisher
        self._broker = broker
        self._catalogue = catalogue
        self._most = most
        self._every = every
        self._tries: dict[Missing, int] = {}

    async def run(self) -> None:
        """Look until cancelled. Nothing that goes wrong here ends it."""
        while True:
            try:
                await self.look()
            except HeadwaterError as error:
                log.info("repair.waiting", error=str(error))
            except Exception:  # what can not be repaired must not keep events from being moved
                log.exception("repair.failed")
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Repair what is missing now and was not tried too often.

        Raises BrokerUnavailable, DatabaseUnavailable, HeadwaterError while somebody else says rows again.
        """
        asked = await repairs.asked(self._broker, self._catalogue)
        self._tries = {one: self._tries.get(one, 0) for one in asked}
        if self._wanted():
            async with self._republisher.session() as connection:
                await self._republisher.alone(connection)
                await self._go_on(connection)
                await self._repair(connection, self._wanted())

    def _wanted(self) -> list[Missing]:
        return [one for one, tries in self._tries.items() if tries < TRIES]

    async def _go_on(self, connection: Connection) -> None:
        """Take to its end what an earlier leader began: what it has said already need not be said again."""
        number = await self._republisher.unfinished(connection, BY)
        if number is not None:
            await self._go(connection, await self._republisher.find(connection, number))

    async def _repair(self, connection: Connection, wanted: list[Missing]) -> None:
        now = await self._republisher.now(connection)
        fit = [one for some in by_stream(wanted) for one in await self._fit(connection, some, now)]
        if fit:
            span = repairing(fit, now)
            plan = await self._republisher.plan(connection, span)
            log.info("repair.begun", rows=plan.rows, streams=sorted(span.streams))
            await self._go(
                connection, await self._republisher.begin(connection, span, plan, by=BY, asked=fit)
            )

    async def _go(self, connection: Connection, run: Run) -> None:
        answered = (await self._republisher.go(connection, run)).answered
        for one in run.asked:
            if one in answered:
                self._tries[one] = TRIES
            else:
                self._again(one, "not all of it came back")

    async def _fit(self, connection: Connection, wanted: list[Missing], now: datetime) -> list[Missing]:
        """What is missed on one stream, if it may be said again without asking."""
        span = repairing(wanted, now)
        plan = await self._republisher.plan(connection, span)
        why = unfit(span, plan, self._most)
        for one in wanted if why else ():
            self._tries[one] = TRIES - 1
            self._again(one, why)
        return [] if why else wanted

    def _again(self, one: Missing, why: str) -> None:
        self._tries[one] = tries = self._tries.get(one, 0) + 1
        if tries == TRIES:
            typed = command(one.app, {one.stream: one.since})
            log.warning("gap.left_open", app=one.app, stream=one.stream, why=why, command=typed)


def by_stream(wanted: Iterable[Missing]) -> list[list[Missing]]:
    """What all applications miss, a list a stream. Pure."""
    found: dict[str, list[Missing]] = {}
    for one in wanted:
        found.setdefault(one.stream, []).append(one)
    return list(found.values())


def unfit(span: Span, plan: Plan, most: int) -> str:
    """Why somebody has to decide; empty when it can be said again without asking. Pure."""
    if not kept(span.since, plan.removed):
        return "the outbox does not have all of that time any more"
    return f"{plan.rows} rows are more than {most}" if plan.rows > most else ""


@contextlib.asynccontextmanager
async def running(repairer: Repairer | None) -> AsyncIterator[None]:
    """It runs inside the block."""
    task = asyncio.create_task(repairer.run(), name="relay-repairs") if repairer else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
