"""Apply work to the application's database: effect, ledger or inbox, and position in one transaction.

`apply` is all or nothing; `settle` says what becomes of each entry of a batch.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence

import asyncpg

from headwater import failpoints, telemetry
from headwater.broker import latest
from headwater.database import Database, Tx, load
from headwater.delivery import handlers
from headwater.delivery.consumer import Consumer, Function, Upsert
from headwater.delivery.halving import Failures, Halving, TablesUnfit, Thing
from headwater.delivery.mirror import Mirror, compile_mirror
from headwater.delivery.order import rounds
from headwater.delivery.outcome import Limits, Outcome
from headwater.delivery.work import Work, by_step, for_function, for_upsert

log = telemetry.logger(__name__)
Fence = Callable[[Tx], Awaitable[None]]


class Applier:
    """Applies batches for one application."""

    def __init__(self, database: Database, consumer: Consumer, *, name: str, limits: Limits) -> None:
        """`name`: the consumer name that positions are written under."""
        self.database = database
        self.consumer = consumer
        self.name = name
        self.limits = limits
        self.fence: Fence | None = None
        """Asked in each transaction, where what is applied must be this worker's own."""
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

    async def apply(self, work: Sequence[Work], *, fence: Fence | None = None) -> None:
        """Apply all, or raise and apply nothing. `fence` raises Fenced when that is not ours to do."""
        newer = 0
        async with self.database.transaction() as tx:
            failpoints.reached("worker.applying")
            if fence is not None:
                await fence(tx)
            for place, batch in by_step(work, self.consumer).items():
                for part in rounds(batch) if self.consumer.steps[place].ordered else (batch,):
                    newer += await self._step(tx, place, part)
            await self._advance(tx, work)
            failpoints.reached("worker.applied")
        failpoints.reached("worker.committed")
        self.applied += newer
        self.stale += len(work) - newer

    async def _step(self, tx: Tx, place: int, batch: list[Work]) -> int:
        step = self.consumer.steps[place]
        if isinstance(step, Function):
            return await self._run(tx, step, for_function(batch, step))
        states = for_upsert(batch)
        return await self._mirrors[place].apply(tx, self.consumer.app, self._generation(step), states)

    def _generation(self, step: Upsert | Function) -> int:
        return self._generations.get(step.subject, 1)

    async def _run(self, tx: Tx, step: Function, batch: list[Work]) -> int:
        admitted = await self._admit(tx, step, batch)
        await handlers.run(step, tx, admitted, self.limits)
        return len(admitted)

    async def _admit(self, tx: Tx, step: Function, batch: list[Work]) -> list[Work]:
        if not batch:
            return []
        envelopes = [one.envelope for one in batch]
        if not step.gated:
            return await self._once(tx, batch, [(one.id + step.mark, one.tenant) for one in envelopes])
        columns = zip(*((one.tenant, one.key, one.version, one.op == "d") for one in envelopes), strict=True)
        head = (self.consumer.app, step.subject, self._generation(step))
        rows = await tx.fetch(load(__file__, "gate"), *head, *columns)
        return [batch[row["place"] - 1] for row in rows]

    async def _once(self, tx: Tx, batch: list[Work], marks: list[tuple[str, str]]) -> list[Work]:
        let: set[tuple[str, str]] = set()
        left = marks
        # Ids that are known are asked for again: another tenant's event may have the same one.
        for query in ("inbox", "inbox_shared"):
            rows = await tx.fetch(load(__file__, query), self.consumer.app, *zip(*left, strict=True))
            let.update((row["event_id"], row["tenant"]) for row in rows)
            left = [mark for mark in left if mark not in let]
            if not left:
                break
        return [one for one, mark in zip(batch, marks, strict=True) if mark in let]

    async def _advance(self, tx: Tx, work: Sequence[Work]) -> None:
        taken: dict[str, list[str]] = {}
        for delivery, _ in work:
            if delivery.letter == 0:
                taken.setdefault(delivery.stream, []).append(delivery.entry)
        if taken:
            streams = list(taken)
            entries = [latest(taken[stream]) for stream in streams]
            await tx.execute(load(__file__, "advance"), self.consumer.app, self.name, streams, entries)

    async def settle(
        self,
        work: Sequence[Work],
        failures: Failures,
        *,
        blocked: Iterable[Thing] = (),
        fence: Fence | None = None,
    ) -> list[Outcome]:
        """An outcome for each, in order. `failures`: how often an entry failed before.

        What is about a `blocked` thing is held; `fence` is asked in each transaction. Raises
        DatabaseUnavailable, TablesUnfit or Fenced: then nothing is decided about any of them.
        """
        apply = functools.partial(self.apply, fence=fence or self.fence)
        halving = Halving(apply, self.consumer, self.limits, failures, set(blocked))
        return await halving.settle(work)
