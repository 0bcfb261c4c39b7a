"""One side of the customer sync as a service: its endpoints, the other service, and syncs by the clock.

The same whether `headwater admin` serves it beside other things or it has a process and a port of its own.
A sync that fails is told and tried again at the next turn; nothing of it ends the service.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from backfill.customer_sync.endpoints import Endpoints
from backfill.customer_sync.exchange import Exchange, Outcome, Records
from backfill.customer_sync.figures import Figures
from backfill.customer_sync.peer import Peer, PeerRefused, Terms, checked
from consumers.customer_records.meeting import SIDES, Side
from consumers.customer_records.vault import Key, Vault
from headwater import telemetry
from headwater.admin import KeyRing
from headwater.admin.auth import accept
from headwater.config import Settings
from headwater.config.seeds import CustomerSyncSettings
from headwater.errors import ServerUnavailable, SettingsError
from headwater.patience import pause

log = telemetry.logger(__name__)
PORTS: dict[Side, int] = {"auth": 8080, "customer": 8081}
"""As the existing services have them."""
_LOOK = 15.0
"""Seconds between two looks at the figures."""


def other(side: Side) -> Side:
    """The other one."""
    return SIDES[1 - SIDES.index(side)]


def vault_of(settings: CustomerSyncSettings) -> Vault:
    """What opens and seals. Raises SettingsError when no key is named."""
    if settings.encryption_key is None:
        raise SettingsError("no key for e-mail addresses is named", hint="set ENCRYPTION_KEY")
    older = settings.older_keys.reveal().split(",") if settings.older_keys else []
    return Vault(
        Key.of(settings.encryption_key.reveal().strip()), [Key.of(text.strip()) for text in reversed(older)]
    )


def terms_of(settings: CustomerSyncSettings, side: Side) -> Terms | None:
    """How to speak to a service; None where its address is not named. Raises SettingsError."""
    url = getattr(settings, f"{side}_service_url")
    if url is None:
        return None
    return Terms(
        side,
        checked(side, url, settings.plain_http),
        key=getattr(settings, f"{side}_service_key"),
        legacy=side in settings.legacy,
        page=settings.page,
        timeout=settings.request_timeout,
        attempts=settings.attempts,
    )


def keys_of(settings: Settings) -> KeyRing:
    """Who may use the endpoints: the services by their names, and the keys of the admin interface.

    Raises SettingsError for a peer that is no service, DeclarationError for two keys of one name.
    """
    peers = settings.customer_sync.peers
    if strangers := {one.id for one in peers} - set(SIDES):
        raise SettingsError(
            f"a peer's key is called {', '.join(sorted(strangers))}",
            hint="make them with `headwater admin key auth` and `headwater admin key customer`",
        )
    return KeyRing((*peers, *settings.admin.keys))


class Service:
    """One side."""

    def __init__(
        self, side: Side, records: Records, settings: CustomerSyncSettings, figures: Figures | None = None
    ) -> None:
        """Raises SettingsError: no key, or an address that is not fit."""
        self.side: Side = side
        self._settings, self._figures = settings, figures
        self._vault = vault_of(settings)
        terms = terms_of(settings, other(side))
        self.peer = Peer(terms) if terms else None
        self.exchange = Exchange(records, self.peer, self._vault) if self.peer else None
        self._records = records
        self._stopping = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Serve the endpoints, in an application at `/api/v3`; the schedule runs as long as that does."""
        endpoints = Endpoints(
            self.side,
            self._records,
            self._vault,
            exchange=self.exchange,
            anonymous=frozenset(self._settings.anonymous),
            legacy=frozenset(self._settings.legacy),
        )
        endpoints.add_to(app)
        app.cleanup_ctx.append(self._living)

    async def _living(self, _: web.Application) -> AsyncIterator[None]:
        if self.peer is not None:
            await self.peer.__aenter__()
        loops = [asyncio.create_task(self._run(), name=f"customers {self.side}")]
        if self._figures is not None:
            loops.append(asyncio.create_task(self._look(), name=f"figures {self.side}"))
        yield
        self._stopping.set()
        if self.exchange is not None:
            await self.exchange.close()
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)
        if self.peer is not None:
            await self.peer.__aexit__()

    async def _run(self) -> None:
        every = self._settings.interval
        if self.exchange is None or not every:
            return
        # Not both services at once, nor all installations in the same second.
        seconds = random.uniform(0.0, min(every, 5.0))  # noqa: S311 (a pause, no secret)
        while not await pause(self._stopping, seconds):
            await self.sync()
            seconds = every * random.uniform(0.9, 1.1)  # noqa: S311 (the same)

    async def sync(self) -> Outcome | None:
        """Both directions now; None when it failed, which is told."""
        if self.exchange is None:
            return None
        try:
            outcome = await self.exchange.both()
        except (ServerUnavailable, PeerRefused) as error:
            log.warning("customers.sync_failed", side=self.side, reason=telemetry.safe_text(error))
            return None
        if self._figures is not None:
            self._figures.synced(self.side, outcome)
        return outcome

    async def _look(self) -> None:
        while self._figures is not None:
            try:
                self._figures.standing(self.side, await self._records.standing())
            except ServerUnavailable as error:
                self._figures.standing(self.side, None)
                log.warning("customers.not_counted", side=self.side, reason=telemetry.safe_text(error))
            if await pause(self._stopping, _LOOK):
                return


def application(services: Iterable[Service], keys: KeyRing) -> web.Application:
    """Their endpoints, to be mounted at `/api/v3`."""
    app = web.Application()
    accept(app, keys)
    for one in services:
        one.add_to(app)
    return app
