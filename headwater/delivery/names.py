"""Consumer names: each held by one process at a time, under a lease in the application's database.

Without a name of its own a worker takes the smallest free slot, `crm-1`, `crm-2`, …, so that any
number of restarts uses as many names as workers run at once, and a restarted worker finds what it
left pending under the name that it gets again.

Always holds: a name changes hands only when its holder gave it back, let its lease run out, or is
proved dead on this very machine.
"""

from __future__ import annotations

import asyncio
import uuid

import asyncpg

from headwater import clock, telemetry
from headwater.broker.client import RELEASED
from headwater.database import Database, Tx, load
from headwater.delivery.halving import TablesUnfit
from headwater.delivery.process import Process, is_dead, this
from headwater.errors import DatabaseUnavailable, HeadwaterError, SettingsError
from headwater.patience import pause

log = telemetry.logger(__name__)
LEASE = 30.0
"""Seconds that a name is held without a sign of life."""


class NameHeld(HeadwaterError):
    """Another process works under the name that was asked for: waited for, as after a crash elsewhere."""


class NameTaken(HeadwaterError):
    """Two processes were given one name: the second one ends."""


class Lease:
    """One consumer name of an application, held by this process alone."""

    def __init__(self, database: Database, app: str, *, wanted: str = "", seconds: float = LEASE) -> None:
        """`wanted`: the one name to hold; empty takes a slot. Raises SettingsError for a name of our own."""
        if wanted == RELEASED:
            raise SettingsError(
                f"a worker can not be called {RELEASED!r}", hint="choose another delivery.consumer_name"
            )
        self.app = app
        self.wanted = wanted
        self.name = ""
        """Empty before it is taken."""
        self._database = database
        self._seconds = seconds
        self._token = uuid.uuid4()
        self._patience: float | None = None

    async def take(self) -> str:
        """The name, held from now on. May be called again.

        Raises NameHeld while another process holds the name asked for, and NameTaken when it still
        does after twice the lease; DatabaseUnavailable, TablesUnfit.
        """
        try:
            taken = await self._take()
        except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError) as error:
            raise TablesUnfit(
                f"the database lacks headwater's tables, or rights on them ({error})",
                hint="run: headwater db migrate",
            ) from error
        except asyncpg.PostgresError as error:  # a lock, a failover: whatever it is, it is worth another try
            raise DatabaseUnavailable(f"no name could be taken ({error})") from error
        if taken is None:
            raise self._refused()
        self.name, self._patience = taken, None
        await self.renew()
        return taken

    async def _take(self) -> str | None:
        process = this()
        async with self._database.transaction() as tx:
            await tx.execute(load(__file__, "lock_names"), self.app)
            await self._free_the_dead(tx)  # behind the lock: one may have been killed while it took its name
            name: str | None = await tx.fetchval(
                load(__file__, "take_name"), self.app, self.wanted, self._token, self._seconds, *process
            )
        return name

    async def _free_the_dead(self, tx: Tx) -> None:
        """Do not wait for the lease of a process that died here: its restart takes up its name at once."""
        for row in await tx.fetch(load(__file__, "held_names"), self.app):
            if is_dead(Process(row["place"], row["process"])):
                await tx.execute(load(__file__, "free_name"), self.app, row["name"], row["token"])

    def _refused(self) -> HeadwaterError:
        now = clock.monotonic()
        if self._patience is None:
            self._patience = now + 2 * self._seconds
        text = f"another process works for {self.app!r} under the name {self.wanted!r}"
        if now < self._patience:
            return NameHeld(text)
        return NameTaken(
            text, hint="leave delivery.consumer_name empty: each worker then gets a name of its own"
        )

    async def renew(self, seconds: float | None = None) -> None:
        """Hold it for so long from now, or one lease. Raises NameTaken when another process has it."""
        held = await self._database.fetchval(
            load(__file__, "renew_name"), self.app, self.name, self._token, seconds or self._seconds
        )
        if held is None:
            raise NameTaken(
                f"the name {self.name!r} went to another process while this one gave no sign of life",
                hint="nothing is lost: start it again",
            )

    async def keep(self, stopping: asyncio.Event, *, drain: float) -> None:
        """Renew until a stop, then once more for a drain of so many seconds. Raises NameTaken."""
        if not self.name:  # stopped before it had one
            return
        while not await pause(stopping, self._seconds / 3):
            await self._try_to_renew(self._seconds)
        await self._try_to_renew(self._seconds + drain)

    async def _try_to_renew(self, seconds: float) -> None:
        try:
            await self.renew(seconds)
        except (DatabaseUnavailable, asyncpg.PostgresError) as error:
            # Without the database this process applies nothing; it has the name again when nobody took it.
            log.warning("worker.name_not_renewed", app=self.app, consumer=self.name, error=str(error))

    async def free(self) -> None:
        """Give the name back. A database that does not answer lets the lease run out. Idempotent."""
        if not self.name:
            return
        try:
            await self._database.execute(load(__file__, "free_name"), self.app, self.name, self._token)
        except (DatabaseUnavailable, asyncpg.PostgresError) as error:
            log.warning("worker.name_not_freed", app=self.app, consumer=self.name, error=str(error))


async def held(database: Database, app: str) -> set[str]:
    """Names that processes hold now."""
    return {row["name"] for row in await database.fetch(load(__file__, "held_names"), app)}


async def silence(database: Database, app: str) -> float | None:
    """Seconds since any worker of the application renewed a name; None when none ever did."""
    seconds: float | None = await database.fetchval(load(__file__, "presence"), app)
    return seconds
