"""Both directions between one side's records and the other service: take what it has, then tell what we have.

Always holds: one record that fails costs the others nothing and stays unsynced; what the other side has taken
is marked as synced with the state that it took; what was read twice does nothing the second time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import asyncpg
import msgspec

from backfill.customer_sync.dialect import Known, Sent, Unreadable, read, write
from backfill.customer_sync.peer import Peer, PeerRefused
from consumers.customer_records.store import Standing
from consumers.customer_records.vault import Vault
from headwater import telemetry

log = telemetry.logger(__name__)
KEPT = 100
"""Problems told one by one; beyond, only counted."""
DONE = frozenset({"applied", "dropped", "conflict"})
"""What became of a record that needs not be sent again: a conflict is stored, and told there."""


class Line(NamedTuple):
    """What became of one record."""

    id: str
    verdict: str
    """applied, dropped, conflict, quarantined or refused."""
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether it has arrived."""
        return self.verdict in DONE


class Tally(msgspec.Struct):
    """What became of the records of one direction."""

    verdicts: dict[str, int] = msgspec.field(default_factory=dict)
    problems: list[Line] = msgspec.field(default_factory=list)
    """The first of those that did not arrive, and those in conflict."""

    def add(self, lines: Iterable[Line]) -> None:
        """Count what became of some more."""
        for line in lines:
            self.verdicts[line.verdict] = self.verdicts.get(line.verdict, 0) + 1
            if line.verdict not in {"applied", "dropped"} and len(self.problems) < KEPT:
                self.problems.append(line)

    @property
    def failed(self) -> int:
        """Records that did not arrive."""
        return sum(count for verdict, count in self.verdicts.items() if verdict not in DONE)


class Records(Protocol):
    """What one side keeps."""

    async def page(self, limit: int, after: str, *, unsynced: bool) -> list[Known | Unreadable]:
        """In order of their ids, those after one; an e-mail that does not open makes a record unreadable."""
        ...

    async def take(self, record: Known) -> Line:
        """Take another side's copy, in a transaction of its own."""
        ...

    async def mark_synced(self, records: Sequence[Known]) -> None:
        """The other side has them, as they are here; those edited since stay unsynced."""
        ...

    async def standing(self) -> Standing:
        """How the side stands."""
        ...


class Outcome(msgspec.Struct):
    """Of one sync in both directions."""

    pulled: Tally
    pushed: Tally
    seconds: float


async def take(records: Records, found: Sequence[Known | Unreadable]) -> list[Line]:
    """What became of each, in the order given. Raises ServerUnavailable when the database is away."""
    return [await _take(records, one) for one in found]


async def _take(records: Records, one: Known | Unreadable) -> Line:
    if isinstance(one, Unreadable):
        return Line(one.id, "refused", one.reason)
    try:
        return await records.take(one)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        return Line(one.id, "refused", telemetry.safe_text(error).partition(" (")[0])


class Exchange:
    """Syncs one side with the other service; one sync at a time, those who ask meanwhile get its outcome."""

    def __init__(self, records: Records, peer: Peer, vault: Vault) -> None:
        self._records, self._peer, self._vault = records, peer, vault
        self._running: asyncio.Task[Outcome] | None = None

    async def both(self) -> Outcome:
        """Pull, then push. Raises ServerUnavailable, PeerRefused: what was done until then stays."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._both(), name="customer sync")
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """Cut off what is running."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _both(self) -> Outcome:
        began = time.monotonic()
        outcome = Outcome(await self.pull(), await self.push(), time.monotonic() - began)
        log.info(
            "customers.synced",
            side=self._peer.terms.side,
            pulled=outcome.pulled.verdicts,
            pushed=outcome.pushed.verdicts,
        )
        for line in (*outcome.pulled.problems, *outcome.pushed.problems):
            log.warning("customers.not_synced", record=line.id, verdict=line.verdict, reason=line.reason)
        return outcome

    async def pull(self) -> Tally:
        """Take what the other service has, and tell it what has arrived."""
        tally, legacy = Tally(), self._peer.terms.legacy
        async for page in self._peer.pages():
            found = read(page, self._vault, legacy=legacy)
            lines = await take(self._records, found)
            tally.add(lines)
            arrived = [
                one
                for one, line in zip(found, lines, strict=True)
                if isinstance(one, Known) and one.unsynced and line.done
            ]
            if arrived and not legacy:
                await self._tell(arrived)  # its own copy back: so it knows that we have it
        return tally

    async def push(self) -> Tally:
        """Tell the other service what it has not yet."""
        tally = Tally()
        async for page in self._unsynced():
            known = [one for one in page if isinstance(one, Known)]
            tally.add(Line(one.id, "quarantined", one.reason) for one in page if isinstance(one, Unreadable))
            lines = await self._tell(known)
            tally.add(lines)
            done = {line.id for line in lines if line.done}
            await self._records.mark_synced([one for one in known if one.id in done])
        return tally

    async def _unsynced(self) -> AsyncIterator[list[Known | Unreadable]]:
        after = ""
        while page := await self._records.page(self._peer.terms.page, after, unsynced=True):
            yield page
            after = page[-1].id

    async def _tell(self, known: Sequence[Known]) -> list[Line]:
        if not self._peer.terms.legacy:
            sent = [self._sent(one, self._vault) for one in known]
            return answered([one.id for one in known], await self._peer.say(sent)) if sent else []
        lines = []
        for one in known:
            if one.copy is not None and one.copy.alive:
                lines.append(await self._tell_old(one))
            else:
                lines.append(Line(one.id, "dropped", "the existing service knows no deletions"))
        return lines

    async def _tell_old(self, one: Known) -> Line:
        try:
            await self._peer.say([self._sent(one, None)])
        except PeerRefused as error:
            return Line(one.id, "refused", str(error))
        return Line(one.id, "applied")

    @staticmethod
    def _sent(one: Known, vault: Vault | None) -> Sent:
        if one.copy is None:
            raise ValueError("only copies of ours are told")
        return write(one.id, one.copy, (one.created_at, one.updated_at, one.last_sync_at), vault)


class _Told(msgspec.Struct):
    id: str
    verdict: str
    reason: str = ""


class _Answer(msgspec.Struct):
    results: list[_Told]


def answered(asked: Sequence[str], answer: Any) -> list[Line]:
    """What one of ours says became of each record asked for; what it says nothing of has not arrived. Pure.

    Raises PeerRefused: it says nothing of the kind.
    """
    try:
        said = {one.id: one for one in msgspec.convert(answer, _Answer).results}
    except msgspec.ValidationError:
        raise PeerRefused("an answer without results: is it declared legacy?") from None
    missing = _Told("", "refused", "the other service says nothing of it")
    lines = [(name, said.get(name, missing)) for name in asked]
    return [Line(name, one.verdict, one.reason[:200]) for name, one in lines]


def counted(lines: Iterable[Line]) -> dict[str, int]:
    """How many of each verdict. Pure."""
    return dict(Counter(line.verdict for line in lines))
