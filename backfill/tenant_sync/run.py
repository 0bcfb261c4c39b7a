"""One run of a tenant's sync: collection by collection, each through the gate and each counted.

Always holds: a collection that did not come to its end takes nothing out of the application's sight; one of
which less was stored than fetched is a failed one, and says of which row why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from backfill.tenant_sync.errors import InvalidError, Superseded, SyncError
from backfill.tenant_sync.gate import Gate
from backfill.tenant_sync.leases import Count, Lease, Leases
from backfill.tenant_sync.retrying import Patience, tried
from backfill.tenant_sync.source import AFTER, ESSENTIAL, TENANT, Collection, Page, Reading, Source
from headwater import telemetry
from headwater.database import Tx

log = telemetry.logger(__name__)
TOLD_EVERY = 1.0
"""Seconds after which a collection that goes on says how far it has come."""


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """What runs work with."""

    source: Source
    gate: Gate
    leases: Leases
    patience: Patience = Patience()


class Run:
    """One run, under one lease."""

    def __init__(self, ways: Ways, lease: Lease) -> None:
        self._ways = ways
        self.lease = lease
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._began

    async def essential(self) -> None:
        """What a login needs, tried as often as is worth it. Raises a SyncError, Superseded."""
        await tried(self._essential, self._ways.patience, self._report)
        await self._ways.leases.essential(self.lease)

    async def _essential(self) -> None:
        await self._ways.gate.open()
        known = {one: await self._known(one) for one in (*ESSENTIAL, *AFTER)}
        async with self._ways.source.reading(self.lease.tenant, self.lease.correlation) as reading:
            for one in ESSENTIAL:
                await self._copied(one, reading, known[one])
            for one in AFTER:
                try:
                    await self._copied(one, reading, known[one])
                except Exception as error:  # the edge of a collection: a login does not wait for this one
                    if isinstance(error, Superseded):
                        raise
                    log.debug("tenant_sync.left_for_later", **self._about(one))

    async def background(self, collections: Sequence[Collection]) -> None:
        """Each on its own and all at once: what fails is told, and stops no other. Raises Superseded."""
        await self._ways.gate.open()
        tasks = [asyncio.create_task(self._alone(one), name=one.name) for one in collections]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _alone(self, collection: Collection) -> None:
        async def once() -> None:
            known = await self._known(collection)
            async with self._ways.source.reading(self.lease.tenant, self.lease.correlation) as reading:
                await self._copied(collection, reading, known)

        try:
            await tried(once, self._ways.patience, self._report)
        except SyncError as error:
            log.warning(
                "tenant_sync.collection_failed", **self._about(collection), type=error.type, error=str(error)
            )
            await self._record(collection, Count(), "failed", f"{error.type}: {error}"[:1000], 0.0)

    async def _known(self, collection: Collection) -> dict[str, int]:
        """What the application shows before the source is looked at: what comes in later is not gone."""
        if collection == TENANT:
            return {}
        return await self._ways.gate.known(self.lease.tenant, collection.subject)

    async def _copied(self, collection: Collection, reading: Reading, known: dict[str, int]) -> None:
        """One collection to its end, or to an error that its row tells of."""
        count, began = Count(), time.monotonic()
        await self._record(collection, count, "in_progress", None, 0.0)
        try:
            problems = await self._copy(collection, reading, known, count)
        except Superseded:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"[:1000]
            await self._record(collection, count, "failed", text, time.monotonic() - began)
            raise
        status = "completed" if count.stored >= count.fetched else "failed"
        told = None if status == "completed" else f"{count.stored} of {count.fetched} stored; {problems}"
        if told:
            log.warning("tenant_sync.not_all_stored", **self._about(collection), error=told)
        await self._record(collection, count, status, told, time.monotonic() - began)

    async def _copy(
        self, collection: Collection, reading: Reading, known: dict[str, int], count: Count
    ) -> str:
        problems: dict[str, str] = {}
        told = time.monotonic()
        async with aclosing(reading.pages(collection)) as pages:
            async for page in pages:
                problems |= await self._store(collection, page, count)
                if time.monotonic() - told > TOLD_EVERY:
                    await self._record(collection, count, "in_progress", None, 0.0)
                    told = time.monotonic()
                for fact in page.facts:
                    known.pop(fact.event.key, None)
                for key in page.refused:  # it is there, whatever it is
                    known.pop(key, None)
        if collection == TENANT and not count.fetched:
            raise InvalidError("the source has no such tenant")
        if any(key.startswith("#") for key in problems):  # a row without a name may be any of those missed
            known.clear()
        gone = await self._gone(collection, reading, known)
        count.gone = await self._ways.gate.retire(self.lease.tenant, collection.subject, gone, self._fence)
        return "; ".join(f"{key}: {why}" for key, why in list(problems.items())[:5])

    async def _store(self, collection: Collection, page: Page, count: Count) -> dict[str, str]:
        failed = await self._ways.gate.store(self.lease.tenant, collection.subject, page.facts, self._fence)
        distinct = len({fact.event.key for fact in page.facts})
        count.fetched += distinct + len(page.refused)
        count.stored += distinct - len(failed)
        count.failed += len(failed) + len(page.refused)
        count.skipped += page.skipped
        return {**page.refused, **failed}

    async def _gone(
        self, collection: Collection, reading: Reading, missing: dict[str, int]
    ) -> dict[str, int]:
        """What is really gone: pages that are not of one moment are read twice before anything is."""
        if not missing or reading.steady:
            return missing
        async with aclosing(reading.pages(collection)) as pages:
            async for page in pages:
                for key in (*(fact.event.key for fact in page.facts), *page.refused):
                    missing.pop(key, None)
        return missing

    async def _fence(self, tx: Tx) -> None:
        await self._ways.leases.check(self.lease, tx)

    async def _record(
        self, collection: Collection, count: Count, status: str, error: str | None, seconds: float
    ) -> None:
        about = (error, seconds)
        await self._ways.leases.record(self.lease, collection.name, status, count, about)

    def _about(self, collection: Collection) -> dict[str, Any]:
        return {
            "tenant": self.lease.tenant,
            "correlation": self.lease.correlation,
            "collection": collection.name,
        }

    def _report(self, error: SyncError, attempt: int, wait: float) -> None:
        log.info(
            "tenant_sync.trying_again",
            tenant=self.lease.tenant,
            correlation=self.lease.correlation,
            type=error.type,
            error=str(error),
            attempt=attempt,
            wait=wait,
        )
