"""Proxies that understand Redis and Postgres, to fail at a chosen command or statement.

    async with RedisProxy.before(redis_url) as redis, PostgresProxy.before(database_url) as postgres:
        lost = redis.lose_reply("XACK")                      # done there, never heard of here
        unknown = postgres.cut_after("COMMIT", times=3)      # committed or not, who knows
        ...
        assert lost.bitten == 1 and unknown.bitten == 3      # the faults happened

Every fault is chosen by a name (the command, or a statement's first word; empty for any), bytes that it
contains, how many pass first, how many it bites (`times=None`: all), and a `share` of them drawn by lot:
the same `seed`, the same lots. Always holds: what no fault bites passes unchanged and in order; answers
stay with their requests, pipelines and prepared statements included. No TLS.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any, Literal, TypedDict, Unpack

from headwater.testing.dialect import Dialect, Request
from headwater.testing.pgwire import Postgres
from headwater.testing.proxy import PIECE, Link, Proxy
from headwater.testing.resp import Resp

Kind = Literal["lose_reply", "cut_after", "cut_before", "black_hole", "delay", "trickle", "refuse", "pass"]
ORPHANED = 5.0
"""Seconds the server gets to finish a request whose client was cut off."""


class Where(TypedDict, total=False):
    """Which requests a fault bites."""

    containing: bytes
    skip: int
    times: int | None
    share: float


class Fault:
    """One fault of a proxy: where it bites, and how often it did."""

    def __init__(self, kind: Kind, name: str, seconds: float = 0.0, **where: Unpack[Where]) -> None:
        self.kind = kind
        self.name = name.upper()
        self.seconds = seconds
        self.reply = b""
        self.bitten = 0
        """How many requests it bit."""
        self._containing = where.get("containing", b"")
        self._skip = where.get("skip", 0)
        self._left = where.get("times", 1)
        self._share = where.get("share", 1.0)

    @property
    def armed(self) -> bool:
        """Whether it can bite again."""
        return self._left is None or self._left > 0

    def end(self) -> None:
        """Bite no more."""
        self._left = 0

    def bites(self, request: Request, chance: Random) -> bool:
        """Whether this request is bitten; counts it."""
        if not self.armed or not any(self._fits(one.name, one.text) for one in request.asked):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._share < 1.0 and chance.random() >= self._share:
            return False
        self.bitten += 1
        if self._left is not None:
            self._left -= 1
        return True

    def _fits(self, name: str, text: bytes) -> bool:
        return self.name in {"", name} and self._containing in text


_PASS = Fault("pass", "")


class _Wire(Link):
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, dialect: Dialect) -> None:
        super().__init__(client, server)
        self.dialect = dialect
        self.fates: deque[Fault] = deque()
        """What becomes of the answers that are due, in order."""
        self.next: Fault | None = None
        """Of an answer whose request is not complete yet."""
        self.orphaned = False


class WireProxy(Proxy):
    """What `RedisProxy` and `PostgresProxy` have in common."""

    def __init__(self, url: str, *, seed: int = 0) -> None:
        super().__init__(url)
        self.seen: Counter[str] = Counter()
        """Commands or statements by their names, bitten or not."""
        self.faults: list[Fault] = []
        """In the order they were made: the first that bites a request has it."""
        self._chance = Random(seed)  # noqa: S311  # lots of a test
        self._holes = asyncio.Event()

    @property
    def bitten(self) -> int:
        """How many requests any fault bit."""
        return sum(fault.bitten for fault in self.faults)

    def lose_reply(self, name: str = "", **where: Unpack[Where]) -> Fault:
        """The server does it; then the connection breaks, and the client does not hear of it."""
        return self._add(Fault("lose_reply", name, **where))

    def cut_after(self, name: str = "", **where: Unpack[Where]) -> Fault:
        """The client is cut off as soon as the request is on its way: the server does it, perhaps later."""
        return self._add(Fault("cut_after", name, **where))

    def cut_before(self, name: str = "", **where: Unpack[Where]) -> Fault:
        """The connection breaks, and the server never hears of the request."""
        return self._add(Fault("cut_before", name, **where))

    def black_hole(self, name: str = "", **where: Unpack[Where]) -> Fault:
        """The server never hears of it; the connection stays open and silent until `heal` cuts it."""
        return self._add(Fault("black_hole", name, **where))

    def delay(self, name: str = "", *, seconds: float, **where: Unpack[Where]) -> Fault:
        """The request is held back for so long, and what follows on its connection with it."""
        return self._add(Fault("delay", name, seconds, **where))

    def trickle(self, name: str = "", *, every: float = 0.0, **where: Unpack[Where]) -> Fault:
        """The answer comes byte by byte, one in `every` seconds."""
        return self._add(Fault("trickle", name, every, **where))

    def _add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    @abstractmethod
    def _dialect(self) -> Dialect:
        """What a new connection speaks."""

    def _forget(self) -> None:
        for fault in self.faults:
            fault.end()
        self._holes.set()
        self._holes = asyncio.Event()

    def _pumps(
        self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: tuple[Any, Any]
    ) -> tuple[Link, list[Coroutine[Any, Any, None]]]:
        link = _Wire(client[1], server[1], self._dialect())
        return link, [self._asked(link, client[0]), self._answered(link, server[0])]

    async def _carry(self, link: Link, tasks: list[asyncio.Task[None]]) -> None:
        await super()._carry(link, tasks)
        if isinstance(link, _Wire) and link.orphaned:
            await asyncio.wait(tasks[1:], timeout=ORPHANED)

    async def _asked(self, link: _Wire, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(PIECE):
            for request in link.dialect.requests(piece):
                self.seen.update(one.name for one in request.asked)
                if not await self._request(link, request):
                    return

    async def _request(self, link: _Wire, request: Request) -> bool:
        """Pass a request on, or do what its fault says; False at the end of the connection."""
        if request.reply:
            link.client.write(request.reply)
            return True
        fault = next((one for one in self.faults if one.bites(request, self._chance)), _PASS)
        if fault.kind == "black_hole":
            await self._holes.wait()
        if fault.kind in {"black_hole", "cut_before"}:
            return False
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        link.next = fault if fault is not _PASS else link.next
        if request.answers:
            link.fates.append(link.next or _PASS)
            link.next = None
        if fault.kind == "refuse":
            self._refused(link)
            return True
        return await self._sent(link, request, fault)

    @staticmethod
    async def _sent(link: _Wire, request: Request, fault: Fault) -> bool:
        link.server.write(request.raw)
        await link.server.drain()
        if fault.kind == "cut_after":
            link.orphaned = True
            link.client.transport.abort()
        return fault.kind != "cut_after"

    @staticmethod
    def _refused(link: _Wire) -> None:
        while link.fates and link.fates[0].kind == "refuse":
            link.client.write(link.fates.popleft().reply)

    async def _answered(self, link: _Wire, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(PIECE):
            for part in link.dialect.answers(piece):
                fate = link.fates[0] if link.fates else _PASS
                if fate.kind not in {"lose_reply", "cut_after"}:
                    await _pass_on(link.client, part.raw, fate)
                if part.ends and link.fates:
                    link.fates.popleft()
                    self._refused(link)
                    if fate.kind in {"lose_reply", "cut_after"}:
                        return


async def _pass_on(client: asyncio.StreamWriter, raw: bytes, fate: Fault) -> None:
    pieces: Sequence[bytes] = [raw]
    if fate.kind == "trickle":
        pieces = [raw[place : place + 1] for place in range(len(raw))]
    for piece in pieces:
        client.write(piece)
        await client.drain()
        if fate.kind == "trickle":
            await asyncio.sleep(fate.seconds)


class RedisProxy(WireProxy):
    """Before a Redis or Valkey. A request is one command, also within a pipeline."""

    def _dialect(self) -> Dialect:
        return Resp()

    def answer_error(self, name: str = "", *, error: str, **where: Unpack[Where]) -> Fault:
        """The server never hears of the command; its answer is `error`: `OOM command not allowed`."""
        fault = self._add(Fault("refuse", name, **where))
        fault.reply = f"-{error}\r\n".encode()
        return fault


class PostgresProxy(WireProxy):
    """Before a Postgres. A request is a simple query, or all up to a Sync: it may hold several statements."""

    def _dialect(self) -> Dialect:
        return Postgres()
