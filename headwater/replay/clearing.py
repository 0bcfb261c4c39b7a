"""Keep side streams short: what the application has applied of a backfill goes, while it runs and at its end.

Always holds: nothing that a group has not acknowledged is removed, whichever job appended it; and no stream
is, because a worker's read would fail.
"""

from __future__ import annotations

from collections.abc import Iterable

from headwater import telemetry
from headwater.broker import Broker
from headwater.broker.clearing import clear
from headwater.errors import BrokerRefused, BrokerUnavailable
from headwater.topology import Catalogue

log = telemetry.logger(__name__)
EVERY = 10_000
"""Entries appended between two looks at what may go."""


class Clearing:
    """What one job does about the side streams of its application."""

    def __init__(self, broker: Broker, catalogue: Catalogue, app: str) -> None:
        self._broker = broker
        self._catalogue = catalogue
        self._app = app
        self._appended = 0

    async def appended(self, streams: Iterable[str], entries: int) -> None:
        """So many more stand on these streams. Raises nothing: what stays is removed later."""
        self._appended += entries
        if self._appended >= EVERY:
            self._appended = 0
            await self.applied(streams)

    async def applied(self, streams: Iterable[str]) -> None:
        """Remove from those of the streams that are side streams what is applied. Raises nothing."""
        for stream in sorted({*streams} & {*self._catalogue.side_keys(self._app)}):
            try:
                removed = await clear(self._broker, stream)
            except (BrokerUnavailable, BrokerRefused) as error:  # retention does it, in its time
                log.warning("backfill.not_cleared", stream=stream, error=str(error))
            else:
                log.debug("backfill.cleared", stream=stream, entries=removed)

    def unread(self, streams: Iterable[str]) -> list[str]:
        """Those of the streams that the application does not read any more: settings changed meanwhile."""
        return sorted({*streams} - {*self._catalogue.keys_of(self._app)})
