"""Asks all along whether source and application agree, and keeps every yes that was not true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from headwater.clock import now
from headwater.errors import ServerUnavailable
from headwater.patience import pause
from headwater.replay.reconcile import Reconciler
from tests.engine.conftest import Shop


class Claims:
    """What was said about a tenant whose rows in the application only come nearer to the truth."""

    def __init__(self, shop: Shop, truth: Callable[[], Awaitable[bool]]) -> None:
        self._shop = shop
        self._truth = truth
        self.since = now()
        """What was said before is about what was there before."""
        self.told = 0
        """Answers."""
        self.refused = 0
        """Questions that a server which was away left open."""
        self.agreed = 0
        """Answers that both agree."""
        self.early: list[str] = []
        """Those of them that were given too early."""

    async def ask(self) -> None:
        """Ask everybody who may say it, once."""
        try:
            claims = await self._claims()
        except ServerUnavailable:
            self.refused += 1
            return
        self.told += 1
        self.agreed += bool(claims)
        if claims and not await self._truth():
            self.early += claims

    async def _claims(self) -> list[str]:
        shop = self._shop
        history = shop.history()
        status = await history.status(shop.tenant, "shelf")
        claims = [] if status.state != "clean" and status.needed is not False else [f"status {status}"]
        for row in await Reconciler(history).known(shop.tenant, "shelf"):
            new = row["state"] == "agreed" and row["checked_at"] > self.since
            claims += [f"agreement {row}"] if new else []
        jobs = await history.jobs.listed(shop.tenant, "shelf", limit=1)
        return claims + [f"job {one}" for one in jobs if one.state == "verified"]


@contextlib.asynccontextmanager
async def watched(
    shop: Shop, truth: Callable[[], Awaitable[bool]], *, every: float = 0.0
) -> AsyncIterator[Claims]:
    """Ask until the block ends, and once more; `every`: seconds between an answer and the next question."""
    claims, ending = Claims(shop, truth), asyncio.Event()

    async def ask() -> None:
        await claims.ask()
        while not await pause(ending, every):
            await claims.ask()

    asking = asyncio.create_task(ask())
    try:
        yield claims
    finally:
        ending.set()
        await asking
    await claims.ask()
