"""The shop of the engine tests, and processes of it that can be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.engine.conftest import Shop, shop, templates
from tests.failure.children import Children

__all__ = ["shop", "templates"]  # fixtures


@pytest_asyncio.fixture(loop_scope="session")
async def children(shop: Shop) -> AsyncIterator[Children]:
    """Starts the shop's relay, worker or runner as processes of their own."""
    found = Children(shop)
    try:
        yield found
    finally:
        await found.end()
