"""A store of records, as an exchange sees it."""

from __future__ import annotations

from collections.abc import Sequence

from backfill.customer_sync.dialect import Known, Unreadable
from backfill.customer_sync.exchange import Line
from consumers.customer_records.store import Broken, Incoming, Record, Standing, Store


class StoreRecords:
    """One side's."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def page(self, limit: int, after: str, *, unsynced: bool) -> list[Known | Unreadable]:
        """As the store's."""
        return [_known(one) for one in await self.store.page(limit, after, unsynced=unsynced)]

    async def take(self, record: Known) -> Line:
        """Take another side's copy."""
        taken = await self.store.receive(Incoming(*record[:-1]))
        return Line(record.id, *taken)

    async def mark_synced(self, records: Sequence[Known]) -> None:
        """The other side has these copies."""
        await self.store.mark_synced([(one.id, one.copy.vector) for one in records if one.copy is not None])

    async def standing(self) -> Standing:
        """How the side stands."""
        return await self.store.standing()


def _known(one: Record | Broken) -> Known | Unreadable:
    if isinstance(one, Broken):
        return Unreadable(*one)
    copy, times = one.copy, (one.created_at, one.updated_at, one.last_sync_at)
    return Known(one.id, copy, copy.name.value, copy.email.value, copy.vector.version, *times)
