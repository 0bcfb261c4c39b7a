"""Asks all along whether source and application agree, and keeps every yes that was not true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from headwater.errors import ServerUnavailable
from headwater.replay.reconcile import Reconciler
from tests.engine.conftest import Shop


class Claims:
    """What was said about one tenant of a shop, while rows of the application only came nearer to the truth."""

    def __init__(self, shop: Shop, truth: Callable[[], Awaitable[bool]]) -> None:
        self._shop = shop
        self._truth = truth
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
            claims += [f"agreement {row}"] if row["state"] == "agreed" else []
        jobs = await history.jobs.listed(shop.tenant, "shelf", limit=1)
        return claims + [f"job {one}" for one in jobs if one.state == "verified"]


@contextlib.asynccontextmanager
async def watched(shop: Shop, truth: Callable[[], Awaitable[bool]]) -> AsyncIterator[Claims]:
    """Ask until the block ends, and once more. Raises what an answer should never be."""
    claims, going = Claims(shop, truth), True

    async def ask() -> None:
        while going:
            await claims.ask()

    asking = asyncio.create_task(ask())
    try:
        yield claims
    finally:
        going = False
        await asking
    await claims.ask()
