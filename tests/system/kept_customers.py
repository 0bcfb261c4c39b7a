"""A side's records without a database, by the same rules: for what HTTP does, not what SQL does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from backfill.customer_sync.dialect import Known, Unreadable
from backfill.customer_sync.exchange import Line
from consumers.customer_records.meeting import (
    Copy,
    Edit,
    Field,
    Side,
    Vector,
    Verdict,
    deleted,
    edited,
    first,
    meet,
)
from consumers.customer_records.store import Standing

BEGAN = datetime(2026, 1, 7, 9, tzinfo=UTC)
WORDS = {Verdict.KNOWN: "dropped", Verdict.NEWER: "applied", Verdict.CONCURRENT: "conflict"}


class Kept:
    def __init__(self, side: Side) -> None:
        self.side = side
        self.copies: dict[str, Copy] = {}
        self.synced: dict[str, Vector] = {}
        self.broken: set[str] = set()
        self.writes = 0

    def edit(self, record: str, **values: str) -> None:
        known = self.copies.get(record)
        new = (
            first(self.side, values["name"], values["email"])
            if known is None
            else edited(known, self.side, **values)
        )
        self.copies[record] = new

    def delete(self, record: str) -> None:
        self.copies[record] = deleted(self.copies[record], self.side)

    async def page(self, limit: int, after: str, *, unsynced: bool) -> list[Known | Unreadable]:
        return [
            Unreadable(name, "it does not open") if name in self.broken else self._known(name)
            for name in sorted(self.copies)
            if name > after and not (unsynced and self.synced.get(name) == self.copies[name].vector)
        ][:limit]

    def _known(self, record: str) -> Known:
        copy = self.copies[record]
        synced = BEGAN if self.synced.get(record) == copy.vector else None
        shown = (copy.name.value, copy.email.value, copy.vector.version)
        return Known(record, copy, *shown, BEGAN, BEGAN, synced)

    async def take(self, record: Known) -> Line:
        mine = self.copies.get(
            record.id, Copy(Vector(), Field("", Edit(self.side, 0)), Field("", Edit(self.side, 0)))
        )
        met = meet(mine, record.copy or self._of_old(record, mine), "auth")
        if met.copy != mine:
            self.writes += 1
        self.copies[record.id] = met.copy
        if record.copy is None or met.copy.vector == record.copy.vector:
            self.synced[record.id] = met.copy.vector
        return Line(record.id, WORDS[met.verdict])

    def _of_old(self, record: Known, mine: Copy) -> Copy:
        theirs: Side = "customer" if self.side == "auth" else "auth"
        if not mine.vector.version:
            return first(theirs, record.name, record.email)
        return (
            edited(mine, theirs, name=record.name, email=record.email)
            if record.version > mine.vector.version
            else mine
        )

    async def mark_synced(self, records: Sequence[Known]) -> None:
        for one in records:
            if one.copy is not None:
                self.synced[one.id] = one.copy.vector

    async def standing(self) -> Standing:
        waiting = len(await self.page(10**6, "", unsynced=True))
        return Standing(
            records=len(self.copies), unsynced=waiting, conflicts=0, quarantined=len(self.broken), age=None
        )
