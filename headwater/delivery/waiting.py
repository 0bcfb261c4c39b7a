"""Wait until an application has applied what was said: read your own writes.

However many wait in a process, one task asks one question a tick for each database. A state is
applied when its thing stands at that version or a larger one, also as deleted; a log event when
its id is in the inbox. A parked event is told at once: time will not mend it.
"""

from __future__ import annotations

import asyncio
import uuid
import weakref
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from headwater.database import Database, Row, load
from headwater.errors import DatabaseUnavailable, EventParked, HeadwaterError, NotApplied
from headwater.publish import Receipt

FIRST, LONGEST = 0.005, 0.05
"""Seconds between two questions: short after the first, longer while nothing happens."""
MOST = 10_000
"""Different receipts waited for at once in one process and database."""
TOGETHER = 1_000
"""Receipts of one question."""


class _Asked(NamedTuple):
    app: str
    receipt: Receipt


class Waits:
    """Everybody in this process who waits for one database."""

    def __init__(self, database: Database) -> None:
        self._database = weakref.proxy(database)  # else what is kept for a database would keep it
        self._waiting: dict[_Asked, set[asyncio.Future[None]]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._pause = FIRST
        self._trouble: DatabaseUnavailable | None = None
        self.questions = 0
        """Asked so far."""

    async def wait(self, app: str, receipt: Receipt, timeout: float) -> None:
        """As `wait_applied`."""
        asked = _Asked(app, receipt)
        if asked not in self._waiting and len(self._waiting) >= MOST:
            raise HeadwaterError(f"{MOST} receipts are waited for already", hint="wait for fewer at once")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asked, set()).add(answer)
        self._ask()
        try:
            async with asyncio.timeout(timeout):
                await answer
        except TimeoutError:
            raise self._late(asked, timeout) from self._trouble
        finally:
            self._leave(asked, answer)

    def _ask(self) -> None:
        self._pause = FIRST
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._run(), name="wait-applied")

    def _late(self, asked: _Asked, timeout: float) -> HeadwaterError:
        if self._trouble is not None:
            return DatabaseUnavailable(f"whether it was applied is not known ({self._trouble})")
        what = f"{asked.receipt.subject} {asked.receipt.key}, event {asked.receipt.event_id}"
        return NotApplied(
            f"{asked.app} did not apply it within {timeout:g} s ({what})",
            hint=f"headwater groups lag {asked.app}",
        )

    def _leave(self, asked: _Asked, answer: asyncio.Future[None]) -> None:
        answers = self._waiting.get(asked)
        if answers is not None:
            answers.discard(answer)
            if not answers:
                del self._waiting[asked]

    async def _run(self) -> None:
        while self._waiting:
            try:
                await self._look()
                self._trouble = None
            except DatabaseUnavailable as error:
                self._trouble = error
            except Exception as error:  # of our own making: whoever waits must hear of it, not of a timeout
                self._fail(error)
                return
            await asyncio.sleep(self._pause)
            self._pause = min(LONGEST, self._pause * 1.5)

    async def _look(self) -> None:
        everything = iter(list(self._waiting))
        while some := list(islice(everything, TOGETHER)):
            rows = [(place, row) for place, one in enumerate(some) for row in _spellings(one)]
            columns = zip(*(row for _, row in rows), strict=True)
            self.questions += 1
            found = await self._database.fetch(load(__file__, "applied_of"), *map(list, columns))
            for place, row in _verdicts([place for place, _ in rows], found).items():
                self._tell(some[place], row)

    def _tell(self, asked: _Asked, row: Row) -> None:
        self._pause = FIRST
        for answer in self._waiting.pop(asked, set()):
            if answer.done():
                continue
            if row["letter"]:
                answer.set_exception(_parked(asked, row))
            else:
                answer.set_result(None)

    def _fail(self, error: Exception) -> None:
        for asked in list(self._waiting):
            for answer in self._waiting.pop(asked):
                if not answer.done():
                    answer.set_exception(error)


def _spellings(asked: _Asked) -> list[tuple[str, str, str, str, int | None, str]]:
    """As it was said, and as a table with columns of type uuid has it."""
    receipt = asked.receipt
    version = receipt.version if receipt.state else None
    places = dict.fromkeys(
        [(receipt.tenant, receipt.key), (_canonical(receipt.tenant), _canonical(receipt.key))]
    )
    return [(asked.app, tenant, receipt.subject, key, version, receipt.event_id) for tenant, key in places]


def _canonical(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text


def _verdicts(places: Sequence[int], found: Sequence[Row]) -> dict[int, Row]:
    """What became of those that something became of: applied weighs more than parked."""
    return {places[row["place"] - 1]: row for row in sorted(found, key=lambda row: -row["letter"])}


def _parked(asked: _Asked, row: Row) -> EventParked:
    letter = row["letter"]
    return EventParked(
        f"{asked.app} {row['state']} it ({row['reason']}: {row['error']})",
        letter=letter,
        reason=row["reason"],
        hint=f"headwater dead-letters show {asked.app} {letter}",
    )


_OF: weakref.WeakKeyDictionary[Database, Waits] = weakref.WeakKeyDictionary()


async def wait_applied(database: Database, app: str, receipt: Receipt, *, timeout: float = 5.0) -> None:
    """Return when `app` has applied what the receipt is for, in its `database`.

    `timeout` in seconds. Any number may wait at once; up to 10,000 different receipts.

    Raises EventParked when it stands among the dead letters, NotApplied after the timeout, and
    DatabaseUnavailable when the database did not answer at its end: then nothing is known.
    """
    waits = _OF.get(database)
    if waits is None:
        waits = _OF[database] = Waits(database)
    await waits.wait(app, receipt, timeout)
