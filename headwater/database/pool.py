"""The only door to Postgres: a pool with limits, transactions, and its errors told apart."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg

from headwater import telemetry
from headwater.config import DatabaseSettings
from headwater.errors import DatabaseUnavailable, SessionLost

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Row = asyncpg.Record
else:
    Connection = Any
    Row = Any

Tx = Connection
"""A connection inside a transaction: what handlers and producers write through."""

log = telemetry.logger(__name__)
_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
_FAREWELLS = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
_NO_CONNECTION = (*_GONE, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


def is_unfit(error: BaseException) -> bool:
    """Whether asyncpg could not encode a value for its column: the same as if Postgres had refused it."""
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


def is_unavailable(error: BaseException) -> bool:
    """Whether the error says that the server is gone, not that the statement or the program was wrong."""
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error) or "released" in str(error)
    # asyncpg's own confusion: the server's farewell came just when a statement began.
    if isinstance(error, asyncpg.InternalClientError):
        return True
    return isinstance(error, _GONE)


def is_over(connection: Connection, error: BaseException | None = None) -> bool:
    """Whether a connection has ended; `error`: what it raised last, which may come before its end is seen."""
    try:
        return isinstance(error, _FAREWELLS) or connection.is_closed()
    except asyncpg.InterfaceError:  # it was given back, or cut off with its pool
        return True


async def connect(
    url: str, *, timeout: float = 10.0, command_timeout: float | None = None
) -> asyncpg.Connection[asyncpg.Record]:
    """One connection outside any pool: for locks, listening and migrations. Raises DatabaseUnavailable.

    `command_timeout`: seconds after which a statement without an answer raises TimeoutError.
    """
    # A server that keeps a dead client's session for hours would keep its advisory locks too.
    settings = {"application_name": "headwater", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5"}
    try:
        return await asyncpg.connect(
            url, timeout=timeout, command_timeout=command_timeout, server_settings=settings
        )
    except _NO_CONNECTION as error:
        raise DatabaseUnavailable(f"no connection to Postgres ({error})") from error


class Database:
    """A pool of connections to one database."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], url: str, *, acquire_timeout: float) -> None:
        self._pool = pool
        self._acquire_timeout = acquire_timeout
        self.url = url

    @classmethod
    async def open(cls, url: str, *, size: int = 4, limits: DatabaseSettings | None = None) -> Database:
        """Connect at least once, so that a wrong address is known at start. Raises DatabaseUnavailable.

        `limits` says everything; without it, `size` is the most connections and the rest as in the settings.
        """
        limits = limits or DatabaseSettings(pool_max=size)
        settings = {
            "application_name": "headwater",
            "statement_timeout": _milliseconds(limits.statement_timeout),
            "lock_timeout": _milliseconds(limits.lock_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(limits.idle_in_transaction),
        }
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=limits.pool_min,
                max_size=limits.pool_max,
                server_settings=settings,
                timeout=limits.connect_timeout,
                command_timeout=limits.statement_timeout or None,  # 0 is no limit, which asyncpg spells None
            )
            async with pool.acquire():  # also where no connection is kept open
                return cls(pool, url, acquire_timeout=limits.acquire_timeout)
        except _NO_CONNECTION as error:
            raise DatabaseUnavailable(f"no connection to Postgres ({error})") from error

    @property
    def usage(self) -> float:
        """Share of the connections it may have that are in somebody's hands now."""
        return (self._pool.get_size() - self._pool.get_idle_size()) / self._pool.get_max_size()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool. Raises DatabaseUnavailable when none comes free in time."""
        try:
            connection = await self._pool.acquire(timeout=self._acquire_timeout)
        except (*_GONE, asyncpg.PostgresError) as error:
            # Whatever the server says to somebody who knocks, it says nothing about what was to be done.
            raise DatabaseUnavailable(
                f"no connection to Postgres ({error or type(error).__name__})"
            ) from error
        try:
            yield connection
        except asyncpg.ReadOnlySQLTransactionError as error:
            # A standby, or a server that refuses writes for now: the next try asks who it is today.
            await self._pool.expire_connections()
            raise DatabaseUnavailable(f"Postgres takes no writes ({error})") from error
        except Exception as error:
            if is_unavailable(error):
                kind = SessionLost if is_over(connection, error) else DatabaseUnavailable
                raise kind(f"Postgres went away ({type(error).__name__}: {error})") from error
            raise
        finally:
            await asyncio.shield(self._give_back(connection))

    async def _give_back(self, connection: Connection) -> None:
        # What was done is done: a connection that ends on its way back fails nobody; the pool makes another.
        try:
            await self._pool.release(connection)  # type: ignore[arg-type]
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.debug("database.ended_when_given_back", error=str(error))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction: committed on a normal exit, rolled back on any error.

        Raises DatabaseUnavailable when the connection breaks; during the commit that means *unknown*.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        """All rows of one statement."""
        async with self.connection() as connection:
            return await connection.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        """The first row, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """The first column of the first row, or None."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *arguments)

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run one statement; its command tag."""
        async with self.connection() as connection:
            return await connection.execute(query, *arguments)

    async def close(self) -> None:
        """Give back every connection; cut those still busy after five seconds. Idempotent."""
        try:
            await asyncio.wait_for(self._pool.close(), 5.0)
        except TimeoutError:
            self._pool.terminate()


def _milliseconds(seconds: float) -> str:
    return str(math.ceil(seconds * 1000))  # upwards: 0 would be no limit
