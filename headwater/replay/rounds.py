"""Compare by itself: every so often, and at once when something may have been lost.

A loss signal (a gap that a worker recorded, another database, a raised epoch) turns what was known into
`unknown`; then each tenant of the application is compared, and mended within bounds, less and less often
while that does not help. One process at a time does this: it holds an advisory lock of the source.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Literal

import msgspec

from headwater import telemetry
from headwater.database import Connection, connect, is_unavailable, load
from headwater.errors import JobRefused, ServerUnavailable
from headwater.patience import backoff, pause
from headwater.publish.outgoing import gather
from headwater.replay.agreeing import Signals
from headwater.replay.reconcile import Reconciler, Wish

log = telemetry.logger(__name__)
_KEEPER = 0x7265636F6E  # "recon": the advisory lock that says who compares
STATEMENT = 30.0
"""Seconds without an answer on the lock's connection after which the source counts as gone."""
TRIES = 10
"""Comparisons after a loss that did not end in agreement; then only the schedule goes on."""
Losses = Literal["ignore", "compare", "repair"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """When to compare, and what to do about it."""

    every: float = 3600.0
    """Seconds between two comparisons of a tenant's application; 0: only after losses."""
    look: float = 5.0
    """Seconds between looks for losses."""
    losses: Losses = "repair"
    most: int = 10_000
    """Keys of a subject that are mended at once by themselves."""


class Rounds:
    """The loop of one process."""

    def __init__(self, reconciler: Reconciler, plan: Plan) -> None:
        self._reconciler = reconciler
        self._ways = reconciler.ways
        self._plan = plan
        self._stopping = asyncio.Event()
        self._due: dict[tuple[str, str], float] = {}
        self._planned = 0.0
        self.leading = False
        """Whether this process is the one that compares."""

    def stop(self) -> None:
        """End, and leave the comparison in hand: nothing of it has to be taken back. Idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Look and compare until stopped; outages of a server only delay it."""
        working = asyncio.create_task(self._work(), name="reconcile")
        await self._stopping.wait()
        while not working.done():
            working.cancel()  # again and again: before Python 3.12 a wait that just ended drops a cancel
            await asyncio.wait({working}, timeout=0.5)

    async def _work(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._session()
                failures = 0
            except Exception as error:  # the edge of a loop: one that ends would leave losses unseen
                failures += 1
                if not isinstance(error, ServerUnavailable) and not is_unavailable(error):
                    log.exception("reconcile.failed")
                else:
                    log.warning("reconcile.waiting", error=str(error))
            await pause(self._stopping, max(self._plan.look, backoff(failures)))

    async def _session(self) -> None:
        # A connection of its own: a pool would give the lock's session to somebody else.
        lock = await connect(self._ways.source.url, command_timeout=STATEMENT)
        try:
            if await lock.fetchval("SELECT pg_try_advisory_lock($1)", _KEEPER):
                self.leading = True
                await self._lead(lock)
        finally:
            self.leading = False
            await lock.close(timeout=2.0)

    async def _lead(self, lock: Connection) -> None:
        while not self._stopping.is_set():
            await lock.fetchval("SELECT 1")  # raises when the session, and with it the lock, is gone
            await self.look()
            await self.scheduled()
            await pause(self._stopping, self._plan.look * random.uniform(0.8, 1.2))  # noqa: S311 (jitter)

    async def look(self) -> None:
        """Look for losses, and compare what they put in doubt. Raises ServerUnavailable."""
        for app in self._apps() if self._plan.losses != "ignore" else ():
            try:
                await self._heed(app)
            except ServerUnavailable as error:
                log.warning("reconcile.waiting", app=app, error=str(error))

    def _apps(self) -> list[str]:
        return [app for app in self._ways.sinks if self._reconciler.subjects(app)]

    async def _heed(self, app: str) -> None:
        now = await self._reconciler.signals(app)
        known = await self._ways.source.fetchrow(load(__file__, "signal_known"), app)
        before = Signals(*known) if known else None
        why = loss(before, now, open_gaps=before is None and await self._open_gaps(app))
        if why:
            await self._doubt(app, why, now)
        if before != now:
            await self._ways.source.execute(load(__file__, "signal_keep"), app, *now)
        due = await self._ways.source.fetch(load(__file__, "signal_due"), app, TRIES, self._plan.look)
        for row in due:
            await self._compare(row["tenant"], app, fix=self._plan.losses == "repair")
        if due and not await self._ways.source.fetchval(load(__file__, "signal_left"), app):
            await self._close(app, now.gap)

    async def _open_gaps(self, app: str) -> bool:
        row = await self._reconciler.sink(app).fetchrow(load(__file__, "signals"), app)
        return bool(row and row["open"])

    async def _doubt(self, app: str, why: str, now: Signals) -> None:
        tenants = await self.tenants(app)
        subjects = self._reconciler.subjects(app)
        about = (tenants, app, subjects, why, *now)
        await self._ways.source.execute(load(__file__, "signal_doubt"), *about)
        for tenant in tenants:
            await self._reconciler.note("headwater", tenant, app, "unknown", why)
        log.warning("reconcile.unknown", app=app, reason=why, tenants=len(tenants))

    async def tenants(self, app: str) -> list[str]:
        """Tenants that have the application enabled and of which it has, or may have, anything."""
        held = await self._reconciler.sink(app).fetch(load(__file__, "tenants_held"), app)
        known = await self._ways.source.fetch(load(__file__, "tenants_known"), app)
        asked = sorted({row["tenant"] for row in (*held, *known)} - {self._ways.realm})
        enabled = gather(await self._ways.source.fetch(self._reconciler.history.enablement, asked))
        group = self._ways.outgoing.catalogue.group(app)
        names = {group.app, *group.aliases}
        return [tenant for tenant in asked if enabled.get(tenant, set()) & names]

    async def _compare(self, tenant: str, app: str, *, fix: bool) -> None:
        wish = Wish(fix=fix, most=self._plan.most)
        try:
            await self._reconciler.reconcile(tenant, app, wish)
        except ServerUnavailable:
            raise
        except JobRefused as error:  # a backfill is at work, and compares at its end
            log.info("reconcile.later", tenant=tenant, app=app, reason=str(error))
        except Exception as error:  # the edge of one tenant: it must not keep the others waiting
            log.exception("reconcile.not_compared", tenant=tenant, app=app, error=str(error))
            await self._ways.source.execute(load(__file__, "agreement_tried"), tenant, app)

    async def _close(self, app: str, gap: int) -> None:
        """Everything agrees: what was lost of states up to this gap is there, however it came back."""
        subjects = set(self._reconciler.subjects(app))
        keys = [
            key
            for key, (stream, groups) in self._ways.outgoing.catalogue.all_keys().items()
            if any(group.app == app for group in groups)
            and all(event.subject.name in subjects for event in stream.events)
        ]
        closed = await self._reconciler.sink(app).fetch(load(__file__, "close_compared"), app, keys, gap)
        for row in closed:
            log.info("gap.closed", app=app, gap=row["id"], by="comparison")

    async def scheduled(self) -> None:
        """Compare what has not been compared for `every` seconds. Raises ServerUnavailable."""
        every = self._plan.every
        if every <= 0:
            return
        if time.monotonic() >= self._planned:
            await self._plan_ahead(every)
            self._planned = time.monotonic() + every / 10
        for tenant, app in sorted(pair for pair, due in self._due.items() if due <= time.monotonic()):
            self._due[tenant, app] = time.monotonic() + every * random.uniform(0.9, 1.1)  # noqa: S311
            await self._compare(tenant, app, fix=False)

    async def _plan_ahead(self, every: float) -> None:
        ages = {
            (row["tenant"], row["app"]): row["age"]
            for row in await self._ways.source.fetch(load(__file__, "agreement_ages"))
        }
        pairs = {(tenant, app) for app in self._apps() for tenant in await self.tenants(app)}
        self._due = {pair: due for pair, due in self._due.items() if pair in pairs}
        for pair in pairs - self._due.keys():
            # One that was never compared comes at any time of the first round, not all of them at once.
            wait = every - ages[pair] if pair in ages else every * random.random()  # noqa: S311
            self._due[pair] = time.monotonic() + max(0.0, wait)


def loss(before: Signals | None, now: Signals, *, open_gaps: bool) -> str:
    """What was lost since, in words; empty when nothing was. `before`: None at the first look. Pure."""
    if before is None:
        return "entries were lost" if open_gaps else ""
    if now.epoch != before.epoch:
        return "the source's epoch changed"
    if now.sink != before.sink:
        return "the application's database is another one"
    return "entries were lost" if now.gap > before.gap else ""
