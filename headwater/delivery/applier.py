"""Apply work to the application's database: effect, ledger or inbox, and position in one transaction.

`apply` is all or nothing. `settle` finds by halving which entries of a batch can not be applied,
so that a bad one costs only itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import asyncpg

from headwater import failpoints, telemetry
from headwater.broker import EntryId
from headwater.database import Database, Tx, is_unavailable, load
from headwater.delivery.consumer import Consumer, Context, Function, Upsert
from headwater.delivery.mirror import Mirror, compile_mirror
from headwater.delivery.outcome import Ack, Fault, Limits, Outcome, classify, decide, describe
from headwater.delivery.work import Work, by_step, for_function, for_upsert
from headwater.errors import DatabaseUnavailable, HeadwaterError

log = telemetry.logger(__name__)
RACES = 5
"""How often a batch that lost a race is applied again before it is halved."""


class TablesUnfit(HeadwaterError):
    """The application's tables do not fit its declaration: nothing can be applied until that is mended."""


class HandlerFailed(HeadwaterError):
    """A handler could not reach something that is not the application's database."""


class Applier:
    """Applies batches for one application."""

    def __init__(self, database: Database, consumer: Consumer, *, name: str, limits: Limits) -> None:
        """`name`: the consumer name that positions are written under."""
        self.database = database
        self.consumer = consumer
        self.name = name
        self.limits = limits
        self.applied = 0
        self.stale = 0
        self._mirrors: dict[int, Mirror] = {}
        self._generations: dict[str, int] = {}

    async def open(self) -> None:
        """Read the tables' types. Raises DeclarationError, DatabaseUnavailable, TablesUnfit."""
        try:
            async with self.database.connection() as connection:
                if await connection.fetchval("SHOW synchronous_commit") == "off":
                    raise TablesUnfit(
                        "synchronous_commit is off: what was acknowledged could be lost in a crash",
                        hint="set it to on for this role or database",
                    )
                rows = await connection.fetch(load(__file__, "generations"), self.consumer.app)
                self._generations = {row["subject"]: row["generation"] for row in rows}
                for place, step in enumerate(self.consumer.steps):
                    if isinstance(step, Upsert):
                        self._mirrors[place] = await compile_mirror(connection, step)
        except asyncpg.UndefinedTableError as error:
            raise TablesUnfit(
                f"the database lacks headwater's tables ({error})", hint="run: headwater db migrate"
            ) from error

    async def apply(self, work: Sequence[Work]) -> None:
        """Apply all, or raise and apply nothing."""
        newer = 0
        async with self.database.transaction() as tx:
            failpoints.reached("worker.applying")
            for place, batch in by_step(work, self.consumer).items():
                step = self.consumer.steps[place]
                if isinstance(step, Upsert):
                    states = for_upsert(batch)
                    newer += await self._mirrors[place].apply(
                        tx, self.consumer.app, self._generation(step), states
                    )
                else:
                    newer += await self._run(tx, step, for_function(batch, step))
            await self._advance(tx, work)
            failpoints.reached("worker.applied")
        failpoints.reached("worker.committed")
        self.applied += newer
        self.stale += len(work) - newer

    def _generation(self, step: Upsert | Function) -> int:
        return self._generations.get(step.subject, 1)

    async def _run(self, tx: Tx, step: Function, batch: list[Work]) -> int:
        admitted = await self._admit(tx, step, batch)
        for one in admitted:
            try:
                async with asyncio.timeout(self.limits.handler):  # else it would hold its batch for ever
                    await step.handler(one.envelope.event, tx, _context(one))
            except Exception as error:
                if is_unavailable(error) and not tx.is_closed():
                    # Not our database: what the handler asked did not answer. That counts as its failure.
                    raise HandlerFailed(describe(error)) from error
                raise
        return len(admitted)

    async def _admit(self, tx: Tx, step: Function, batch: list[Work]) -> list[Work]:
        if not batch:
            return []
        envelopes = [one.envelope for one in batch]
        if not step.gated:
            marks = [one.id + step.mark for one in envelopes]
            rows = await tx.fetch(load(__file__, "inbox"), self.consumer.app, marks)
            let = {row["event_id"] for row in rows}
            return [one for one, mark in zip(batch, marks, strict=True) if mark in let]
        columns = zip(*((one.tenant, one.key, one.version, one.op == "d") for one in envelopes), strict=True)
        head = (self.consumer.app, step.subject, self._generation(step))
        rows = await tx.fetch(load(__file__, "gate"), *head, *columns)
        return [batch[row["place"] - 1] for row in rows]

    async def _advance(self, tx: Tx, work: Sequence[Work]) -> None:
        taken: dict[str, list[str]] = {}
        for delivery, _ in work:
            if delivery.letter == 0:
                taken.setdefault(delivery.stream, []).append(delivery.entry)
        if taken:
            streams = list(taken)
            entries = [max(taken[stream], key=EntryId.parse) for stream in streams]
            await tx.execute(load(__file__, "advance"), self.consumer.app, self.name, streams, entries)

    async def settle(self, work: Sequence[Work], failures: dict[tuple[str, str], int]) -> list[Outcome]:
        """An outcome for each, in order. `failures`: how often an entry failed before.

        Raises DatabaseUnavailable or TablesUnfit: then nothing is decided about any of them.
        """
        error = await self._attempt(work)
        if error is None:
            return [Ack()] * len(work)
        if len(work) == 1:
            delivery = work[0].delivery
            before = failures.get((delivery.stream, delivery.entry), 0)
            return [decide(error, failures=before, limits=self.limits, chance=random.random())]  # noqa: S311
        middle = len(work) // 2
        return [*await self.settle(work[:middle], failures), *await self.settle(work[middle:], failures)]

    async def _attempt(self, work: Sequence[Work]) -> Exception | None:
        last: Exception | None = None
        for _ in range(RACES):
            try:
                await self.apply(work)
            except Exception as error:  # the edge of a delivery: every failure becomes an outcome
                fault = classify(error)
                if fault is Fault.AGAIN:
                    last = error
                    continue
                if fault is Fault.UNAVAILABLE:
                    raise DatabaseUnavailable(describe(error)) from error
                if fault is Fault.DEPLOY:
                    raise TablesUnfit(describe(error), hint="run: headwater doctor") from error
                return error
            return None
        return last


def _context(work: Work) -> Context:
    envelope: Any = work.envelope
    return Context(
        tenant=envelope.tenant,
        key=envelope.key,
        version=envelope.version,
        event_id=envelope.id,
        historical=envelope.historical,
        target=envelope.target,
        source=envelope.source,
        correlation=envelope.correlation or str(envelope.metadata.get("correlationId") or ""),
        time=envelope.time,
        stream=work.delivery.stream,
        entry=work.delivery.entry,
    )
