"""Publish without a database, and say honestly what became of it.

Concurrent publishes share pipelines: while one is on its way, the next collects. A lost answer is
*unknown*: the event may be on its streams or not, and saying it again under the same id is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Unpack

import msgspec

from headwater import failpoints
from headwater.broker import Broker
from headwater.errors import BrokerUnavailable, HeadwaterError
from headwater.event import Event, Fields
from headwater.publish.outgoing import Enabled, Outgoing
from headwater.publish.said import REALM, About, Said

PIPELINE = 500
"""Entries of one pipeline at most."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a direct publish."""

    outcome: Literal["ok", "failed", "unknown"]
    """failed: surely nowhere, or not everywhere; the error says why. unknown: publish it again."""
    event_id: str
    entries: tuple[tuple[str, str], ...] = ()
    """(stream, entry id) of what was appended."""
    error: str = ""


class _Waiting(NamedTuple):
    appends: Sequence[tuple[str, Fields]]
    answer: asyncio.Future[list[str | HeadwaterError]]


class DirectProducer:
    """Appends events to their streams at once. One for a process; safe to call concurrently."""

    def __init__(
        self, outgoing: Outgoing, broker: Broker, *, enabled: Enabled, source: str, realm: str = REALM
    ) -> None:
        """`enabled` says which applications a tenant has; asked only for streams of applications."""
        self._outgoing = outgoing
        self._broker = broker
        self._enabled = enabled
        self._source = source
        self._realm = realm
        self._waiting: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None

    async def publish(self, event: Event, **about: Unpack[About]) -> Outcome:
        """Publish one event. Raises EventError when it can not be said; never for a server."""
        return (await self.publish_many([Said(event, **about)]))[0]

    async def publish_many(self, said: Iterable[Said]) -> list[Outcome]:
        """Publish events in the order given; an outcome each."""
        envelopes = [one.envelope(self._source, realm=self._realm) for one in said]
        needing = {one.tenant for one in envelopes if self._outgoing.wants_enablement(one.type)}
        enabled = await self._enabled(needing) if needing else {}
        groups = [self._outgoing.entries(one, enabled.get(one.tenant, ())) for one in envelopes]
        appends = [append for group in groups for append in group]
        try:
            replies = await self._append(appends)
        except BrokerUnavailable as error:
            outcome: Literal["failed", "unknown"] = "unknown" if error.sent else "failed"
            return [Outcome(outcome, one.id, error=str(error)) for one in envelopes]
        answers = iter(zip(appends, replies, strict=True))
        return [
            _outcome(one.id, [next(answers) for _ in group])
            for one, group in zip(envelopes, groups, strict=True)
        ]

    async def _append(self, appends: Sequence[tuple[str, Fields]]) -> list[str | HeadwaterError]:
        if not appends:
            return []
        waiting = _Waiting(appends, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name="publish-flush")
        return await asyncio.shield(waiting.answer)

    async def _flush(self) -> None:
        while self._waiting:
            together: list[_Waiting] = []
            size = 0
            while self._waiting and size < PIPELINE:
                together.append(self._waiting.pop(0))
                size += len(together[-1].appends)
            await self._send(together)

    async def _send(self, together: list[_Waiting]) -> None:
        try:
            replies = iter(await self._broker.append([append for one in together for append in one.appends]))
            failpoints.reached("producer.sent")
        except BaseException as error:
            for one in together:
                if not one.answer.done():
                    one.answer.set_exception(_as_unavailable(error))
            if not isinstance(error, HeadwaterError):
                raise
            return
        for one in together:
            one.answer.set_result([next(replies) for _ in one.appends])

    async def close(self) -> None:
        """Wait until everything said so far has its outcome. Idempotent; the broker stays open."""
        if self._flushing is not None:
            await self._flushing


def _as_unavailable(error: BaseException) -> BrokerUnavailable:
    if isinstance(error, BrokerUnavailable):
        return error
    return BrokerUnavailable(f"publishing was interrupted ({type(error).__name__})")


def _outcome(event_id: str, answers: list[tuple[tuple[str, Fields], str | HeadwaterError]]) -> Outcome:
    entries = tuple((append[0], reply) for append, reply in answers if isinstance(reply, str))
    errors = [str(reply) for _, reply in answers if isinstance(reply, HeadwaterError)]
    return Outcome("failed" if errors else "ok", event_id, entries, "; ".join(errors))
