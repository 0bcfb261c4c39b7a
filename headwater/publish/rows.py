"""Rows of the outbox as events, and where those go by what their tenants have enabled now.

One way for the relay and for whoever says rows again. A row that no stream can carry is named with its
reason, so that its neighbours go on.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from headwater import telemetry
from headwater.broker.protocol import Append
from headwater.database import Connection, Row
from headwater.errors import EventError
from headwater.event import Envelope
from headwater.event.codec import check_size, explained
from headwater.publish.outgoing import Outgoing, gather

log = telemetry.logger(__name__)
_LABELS = msgspec.json.Decoder(dict[str, Any])

Appends = list[Append]


class Rows:
    """Reads rows of the outbox."""

    def __init__(self, outgoing: Outgoing, enablement: str) -> None:
        """`enablement`: `$1 text[] tenants -> rows (tenant, app)`."""
        self._outgoing = outgoing
        self._enablement = enablement

    async def enabled(self, connection: Connection, tenants: set[str]) -> dict[str, set[str]]:
        """Which applications each tenant has enabled now; of a tenant that can not be asked for, none."""
        try:
            return gather(await connection.fetch(self._enablement, list(tenants)))
        except asyncpg.DataError:
            if len(tenants) == 1:  # the project's query can not take this tenant: it has nothing enabled
                log.warning("relay.tenant_unfit")
                return {}
        # One tenant that the query can not take must not keep the others waiting: ask for each alone.
        found: dict[str, set[str]] = {}
        for tenant in tenants:
            found |= await self.enabled(connection, {tenant})
        return found

    def appends(self, row: Row, enabled: dict[str, set[str]]) -> Appends | str:
        """What is to be appended for a row; or why no stream can carry it."""
        try:
            check_size({}, len(row["data"]))  # not all of it was read
            return self._outgoing.appends(self._envelope(row), enabled.get(row["tenant"], ()))
        except Exception as error:  # the edge of trust: whatever somebody wrote there costs only its row
            known = error if isinstance(error, EventError) else explained(error, row["data"].encode())
            text = f"{known.reason}: {known}"[:500].replace("\x00", "\ufffd")
            return text.encode("utf-8", "replace").decode()  # else it could not be written down

    def _envelope(self, row: Row) -> Envelope:
        event = self._outgoing.codec.registry.read(row["type"], row["schema_version"], row["data"])
        if event.key != row["key"]:
            raise EventError("malformed", f"the row's key is not its event's ({row['key']!r}, {event.key!r})")
        labels = row["metadata"]
        return Envelope(
            id=row["event_id"],
            event=event,
            tenant=row["tenant"],
            time=row["said_at"],
            source=row["source"],
            version=row["version"],
            op=row["op"],
            target=row["target"] if row["target"] != "*" else event.target,
            correlation=row["correlation"],
            metadata={} if labels == "{}" else _LABELS.decode(labels),
        )
