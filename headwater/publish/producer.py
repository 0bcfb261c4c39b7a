"""Say events inside the caller's own transaction: they commit or vanish with the row.

An event is checked when it is said, so that the program that made it bad hears of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Unpack

import msgspec

from headwater.database import Tx, load
from headwater.event import Codec, Envelope, Event
from headwater.publish.receipt import Receipt
from headwater.publish.said import REALM, About, Said


class Producer:
    """Writes events into the outbox of the database that the transaction belongs to."""

    def __init__(self, codec: Codec, *, source: str, realm: str = REALM) -> None:
        """`source` names the service that speaks; `realm` stands for tenants where a subject has none."""
        self._codec = codec
        self._source = source
        self._realm = realm

    async def publish(self, tx: Tx, event: Event, **about: Unpack[About]) -> Receipt:
        """Say one event; raises EventError when it can not be said.

        For a deletion without `version` the tombstone's is taken, which the delete of the row drew.
        """
        return (await self.publish_many(tx, [Said(event, **about)]))[0]

    async def publish_many(self, tx: Tx, said: Iterable[Said]) -> list[Receipt]:
        """Say many events in the order given, with one statement; all or none."""
        envelopes = [
            one.envelope(self._source, realm=self._realm) for one in await _with_tombstones(tx, list(said))
        ]
        if not envelopes:
            return []
        await tx.execute(load(__file__, "append_outbox"), *self._columns(envelopes), self._source)
        return [Receipt.of(one) for one in envelopes]

    def _columns(self, envelopes: Sequence[Envelope]) -> list[Sequence[object]]:
        rows = []
        for one in envelopes:
            event = one.event
            data = self._codec.plain(one) or self._codec.encode(one)[b"data"]
            head = (one.id, event.type, event.schema_version, one.tenant, event.key, one.op, one.version)
            metadata = msgspec.json.encode(one.metadata).decode() if one.metadata else "{}"
            rows.append((*head, one.target, one.correlation, data.decode(), metadata))
        return list(zip(*rows, strict=True))


async def _with_tombstones(tx: Tx, said: list[Said]) -> list[Said]:
    missing = [n for n, one in enumerate(said) if one.version is None and one.event.op == "d"]
    if not missing:
        return said
    wanted = [(said[n].event.subject.name, said[n].text_of_tenant, said[n].event.key) for n in missing]
    for row in await tx.fetch(load(__file__, "tombstone_versions"), *zip(*wanted, strict=True)):
        place = missing[row["place"] - 1]
        said[place] = msgspec.structs.replace(said[place], version=row["version"])
    return said
