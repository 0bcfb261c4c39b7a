"""The customer sync of one process: each side whose database is named here, and how a side is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from backfill.customer_sync.endpoints import PREFIX
from backfill.customer_sync.exchange import Outcome
from backfill.customer_sync.figures import Figures
from backfill.customer_sync.keys import TABLES, Rotation, rotate
from backfill.customer_sync.records import StoreRecords
from backfill.customer_sync.service import Service, application, keys_of, other, vault_of
from consumers.customer_records.meeting import SIDES, Side
from consumers.customer_records.store import Standing, Store
from headwater.admin import KeyRing, admin_application, run_admin
from headwater.cli.connected import opened
from headwater.cli.wiring import Wiring
from headwater.errors import SettingsError

__all__ = ["Side", "Sides", "opened", "serving"]


def preferred(name: str) -> Side | None:
    """The side that a setting prefers. Pure."""
    return next((side for side in SIDES if side == name), None)


class Sides:
    """The sides whose databases the settings name."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._settings = wiring.settings.customer_sync

    @property
    def here(self) -> list[Side]:
        """Their names."""
        return [side for side in SIDES if side in self._wiring.settings.apps]

    async def records(self, side: Side) -> StoreRecords:
        """What a side keeps. Raises SettingsError: no database is named for it."""
        self._wiring.app_url(side)
        database = (await self._wiring.open_sinks([side]))[side]
        return StoreRecords(Store(database, side, vault_of(self._settings), preferred(self._settings.prefer)))

    async def service(self, side: Side, figures: Figures | None = None) -> Service:
        """A side as a service. Raises SettingsError."""
        return Service(side, await self.records(side), self._settings, figures)

    async def standings(self) -> dict[str, Standing]:
        """How each stands. Raises SettingsError: none is named here."""
        if not self.here:
            self._wiring.app_url("auth")
        return {side: await (await self.records(side)).standing() for side in self.here}

    async def seal_anew(
        self, tell: Callable[[int], None], *, dry_run: bool, upgrade: bool
    ) -> dict[Side, Rotation]:
        """Bring every side's e-mail under the newest key; `upgrade`: in the format that names it.

        Raises SettingsError: no database is named here, or no key.
        """
        if not self.here:
            self._wiring.app_url("auth")
        done = {}
        for side in self.here:
            await self.records(side)
            database, vault = self._wiring.sinks[side], vault_of(self._settings)
            if upgrade and not dry_run:  # first: what is written from now on needs no second look
                await database.execute("UPDATE customer_sync.form SET versioned = true")
            versioned = upgrade or await database.fetchval("SELECT versioned FROM customer_sync.form")
            done[side] = await rotate(
                database, TABLES[side], vault, versioned=versioned, dry_run=dry_run, tell=tell
            )
        return done

    async def trigger(self, side: Side | None) -> Outcome:
        """Sync one side with the other service now. Raises what an exchange raises, and SettingsError."""
        here: list[Side] = [*self.here, *SIDES]
        asking: Side = side if side is not None else here[0]
        service = await self.service(asking)
        if service.peer is None or service.exchange is None:
            name = f"{other(asking).upper()}_SERVICE_URL"
            raise SettingsError(f"the {other(asking)} service is not named", hint=f"set {name}")
        async with service.peer:
            return await service.exchange.both()


async def serving(
    wiring: Wiring, side: Side, where: tuple[str, int], note: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Serve a side until stopped, and sync by the clock meanwhile."""
    settings = wiring.settings
    service = await Sides(wiring).service(side, Figures(wiring.metrics))
    database = wiring.sinks[side]

    async def answers() -> None:
        await database.fetchval("SELECT 1")

    app = admin_application(
        KeyRing(settings.admin.keys),
        checks={"database": answers},
        mounts={PREFIX: application([service], keys_of(settings))},
        metrics=wiring.metrics,
        limits=settings.admin,
    )
    async with run_admin(app, *where) as (host, port):
        note(f"serving the {side} side on http://{f'[{host}]' if ':' in host else host}:{port}{PREFIX}")
        await stop.wait()
