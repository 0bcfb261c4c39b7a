"""Append while earlier appends are still being answered: pipelines on one connection, in the order asked for.

What is asked for in one turn of the event loop travels together; what comes meanwhile forms the next
pipeline. Always holds: entries stand on their streams in the order of the calls, at most `WINDOW`
pipelines are under way, and no more than `room` bytes wait: callers wait in their place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater import failpoints
from headwater.broker.protocol import Append, pack_appends
from headwater.errors import BrokerUnavailable, HeadwaterError

if TYPE_CHECKING:
    from headwater.broker.client import Broker

WINDOW = 2
"""Pipelines under way at once: Redis works on one while we read the answers to the other."""
ENTRIES = 1000
"""Entries of one pipeline, unless one caller brings more at once."""
PIPELINE = 1 << 18
"""Bytes after which a pipeline takes no more."""
ROOM = 1 << 22
"""Bytes that may wait or be under way before callers wait too."""

Answers = list[str | HeadwaterError]
"""For each append its entry id, or the error Redis answered."""


class _Asked(NamedTuple):
    packed: bytes
    entries: int
    answer: asyncio.Future[Answers]


class Appender:
    """Shared by everything in a process that appends on its own account. Safe to call concurrently."""

    def __init__(self, broker: Broker, *, room: int = ROOM) -> None:
        """Takes one of the broker's connections while it has something to do."""
        self._broker = broker
        self._room = room
        self._bytes = 0
        self._turns: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._asked: deque[_Asked] = deque()
        self._under_way: deque[list[_Asked]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Bytes that wait or are under way."""
        return self._bytes

    async def append(self, appends: Sequence[Append]) -> Answers:
        """Append entries in order. A cancelled call may or may not append; others lose nothing by it.

        Raises BrokerUnavailable; its `sent` says whether any of them may have been appended.
        """
        return await (await self.hand(appends))

    async def hand(self, appends: Sequence[Append]) -> asyncio.Future[Answers]:
        """Queue appends once there is room; what they lead to comes by the future, as from `append`."""
        packed = pack_appends(appends)
        answer: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        if not appends:
            answer.set_result([])
            return answer
        size = len(packed)
        if self._turns or not self._fits(size):
            await self._take_turn(size)
        else:
            self._bytes += size
        self._asked.append(_Asked(packed, len(appends), answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="append")
        elif len(self._under_way) < WINDOW:
            self._wake()
        return answer

    def _fits(self, size: int) -> bool:
        return not self._bytes or self._bytes + size <= self._room  # what fits nowhere goes alone

    async def _take_turn(self, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had got its room already
                self._give(size)
            raise

    def _give(self, size: int) -> None:
        self._bytes -= size
        while self._turns and self._fits(self._turns[0][0]):
            wanted, turn = self._turns.popleft()
            if not turn.done():
                self._bytes += wanted
                turn.set_result(None)

    async def close(self) -> None:
        """Wait until everything asked for so far has its answer. Idempotent; the broker stays open."""
        while self._turns or (self._running is not None and not self._running.done()):
            if self._running is not None:
                await asyncio.wait([self._running])
            await asyncio.sleep(0)  # those whose turn has come ask for it

    async def _run(self) -> None:
        try:
            while self._asked:
                await self._burst()
        except BaseException as error:
            interrupted = BrokerUnavailable(f"appending was interrupted ({type(error).__name__})")
            self._fail_those_under_way(interrupted)
            self._fail_those_that_wait(interrupted)
            raise

    async def _burst(self) -> None:
        try:
            async with self._broker.appending() as connection:
                await self._converse(connection)
        except BrokerUnavailable as error:
            self._fail_those_under_way(error)
            if not error.sent:  # without a connection it is the same for all of them
                self._fail_those_that_wait(error)

    async def _converse(self, connection: Any) -> None:
        reading: asyncio.Task[Answers] | None = None
        try:
            while self._asked or self._under_way:
                while self._asked and len(self._under_way) < WINDOW:
                    await self._send(connection)
                if reading is None and self._under_way:
                    reading = asyncio.create_task(self._read(connection))
                    reading.add_done_callback(self._wake)
                if reading is not None and not reading.done():
                    self._news = asyncio.get_running_loop().create_future()
                    await self._news
                if reading is not None and reading.done():
                    self._settle(reading.result())
                    reading = None
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait([reading])

    def _wake(self, _: object = None) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _send(self, connection: Any) -> None:
        together = self._together()
        if together:
            self._under_way.append(together)
            await connection.send_packed_command([one.packed for one in together])

    def _together(self) -> list[_Asked]:
        found: list[_Asked] = []
        entries = size = 0
        while self._asked and entries < ENTRIES and size < PIPELINE:
            one = self._asked.popleft()
            if one.answer.done():  # its caller gave up before it was sent
                self._give(len(one.packed))
                continue
            found.append(one)
            entries += one.entries
            size += len(one.packed)
        return found

    async def _read(self, connection: Any) -> Answers:
        answers = await self._broker.answers(connection, sum(one.entries for one in self._under_way[0]))
        failpoints.reached("producer.sent")
        return answers

    def _settle(self, replies: Answers) -> None:
        at = 0
        for one in self._under_way.popleft():
            if not one.answer.done():
                one.answer.set_result(replies[at : at + one.entries])
            at += one.entries
            self._give(len(one.packed))

    def _fail_those_under_way(self, error: BrokerUnavailable) -> None:
        lost = [one for together in self._under_way for one in together]
        self._under_way.clear()
        self._fail(lost, error)

    def _fail_those_that_wait(self, error: BrokerUnavailable) -> None:
        lost = list(self._asked)
        self._asked.clear()
        self._fail(lost, error)

    def _fail(self, lost: list[_Asked], error: BrokerUnavailable) -> None:
        for one in lost:
            if not one.answer.done():
                one.answer.set_exception(error)
            self._give(len(one.packed))
