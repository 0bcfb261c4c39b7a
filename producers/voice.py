"""What all producers of this system share: how a row's event is said in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.database import Tx
from headwater.event import Event
from headwater.publish import Producer, Receipt, Said
from producers.rows import Row


class Voice:
    """Says events about rows. Every method takes rows as RETURNING gave them, with `headwater_version`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def _state(self, tx: Tx, event: Event, row: Row) -> Receipt:
        return (await self._states(tx, [(event, row)]))[0]

    async def _states(self, tx: Tx, pairs: Iterable[tuple[Event, Row]]) -> list[Receipt]:
        said = [Said(event, str(row["tenant_id"]), row["headwater_version"]) for event, row in pairs]
        return await self._producer.publish_many(tx, said)

    async def _deletion(self, tx: Tx, event: Event, row: Row) -> Receipt:
        # A deleted row still shows its last version; the tombstone has the one of the deletion.
        return await self._producer.publish(tx, event, tenant=str(row["tenant_id"]))
