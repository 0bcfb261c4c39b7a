"""A Redis and a Postgres for the tests: real ones, which end with them."""

from collections.abc import AsyncIterator

import pytest_asyncio
from headwater.testing import RunningServers, running_servers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncIterator[RunningServers]:
    async with running_servers() as running:
        yield running
