"""One at a time: whoever removes things holds a lock of the source database, on a connection of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from headwater.database import Connection, connect, load
from headwater.errors import HeadwaterError

COMMAND_TIMEOUT = 30.0


class Busy(HeadwaterError):
    """Another process removes things at this moment."""


@contextlib.asynccontextmanager
async def alone(source_url: str) -> AsyncIterator[Connection]:
    """While nobody else removes anything. Raises Busy, DatabaseUnavailable."""
    connection = await connect(source_url, command_timeout=COMMAND_TIMEOUT)
    try:
        if not await connection.fetchval(load(__file__, "alone")):
            raise Busy("another process trims or collects garbage now", hint="try again when it is done")
        yield connection
    finally:
        await connection.close(timeout=2.0)
