"""Create and drop databases. No query files here: the names can not be parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


async def create_database(url: str, name: str, template: str | None = None) -> None:
    """Create an empty database, or a copy of `template`, which nobody may be connected to.

    `url` is of any other database of the server.

    Raises:
        asyncpg.DuplicateDatabaseError: there is one of that name.
    """
    async with _connection(url) as connection:
        copied = f" TEMPLATE {_quoted(template)}" if template else ""
        await connection.execute(f"CREATE DATABASE {_quoted(name)}{copied}")


async def drop_database(url: str, name: str) -> None:
    """Drop a database, and throw out who is connected to it. Nothing happens when there is none."""
    async with _connection(url) as connection:
        await connection.execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
