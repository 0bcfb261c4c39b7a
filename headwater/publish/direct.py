"""Publish without a database, and say honestly what became of it.

Concurrent publishes share pipelines by themselves. A lost answer is *unknown*: the event may be on
its streams or not, and saying it again under the same id is harmless. Ids are given before anything waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Unpack

import msgspec

from headwater.broker import Appender, Broker
from headwater.broker.protocol import Append
from headwater.errors import BrokerUnavailable, EventError, HeadwaterError, ServerUnavailable
from headwater.event import Envelope, Event
from headwater.publish.outgoing import Enabled, Outgoing
from headwater.publish.receipt import Receipt
from headwater.publish.said import REALM, About, Said

CHUNK = 100
"""Events of `publish_many` that are encoded while the ones before them are on their way."""

Appends = list[Append]


class Published(msgspec.Struct, frozen=True, gc=False):
    """What became of a direct publish."""

    outcome: Literal["ok", "failed", "unknown"]
    """failed: surely nowhere, or not everywhere; the error says why. unknown: publish it again."""
    event_id: str
    entries: tuple[tuple[str, str], ...] = ()
    """(stream, entry id) of what was appended."""
    error: str = ""
    said: Envelope | None = None

    @property
    def receipt(self) -> Receipt | None:
        """To wait with until applications have applied it; None where nothing was said."""
        return None if self.said is None else Receipt.of(self.said)


class _Chunk(NamedTuple):
    said: Sequence[Envelope]
    appends: list[Appends | EventError]
    answer: asyncio.Future[list[str | HeadwaterError]]


class DirectProducer:
    """Appends events to their streams at once. One for a process; safe to call concurrently."""

    def __init__(
        self, outgoing: Outgoing, broker: Broker, *, enabled: Enabled, source: str, realm: str = REALM
    ) -> None:
        """`enabled` says which applications a tenant has; asked only for streams of applications."""
        self._outgoing = outgoing
        self._appender = Appender(broker)
        self._enabled = enabled
        self._source = source
        self._realm = realm

    async def publish(self, event: Event, **about: Unpack[About]) -> Published:
        """Publish one event. Raises EventError when it can not be said; never for a server.

        Where that depends on what its tenant has enabled, and nobody can be asked, it has failed.
        Cancelled, it is *unknown*: others that are under way lose nothing by it.
        """
        envelope = Said(event, **about).envelope(self._source, realm=self._realm)
        try:
            enabled = await self._enabled_for([envelope])
        except ServerUnavailable as error:
            return _nowhere(envelope, error)
        appends = self._outgoing.appends(envelope, enabled.get(envelope.tenant, ()))
        try:
            return _published(envelope, appends, await self._appender.append(appends))
        except BrokerUnavailable as error:
            return _lost(envelope, error)

    async def publish_many(self, said: Iterable[Said]) -> list[Published]:
        """Publish events in the order given; for each what became of it.

        An event that breaks its contract has failed and says why; its neighbours are published. Raises
        EventError `missing_version` before anything is sent. Once an answer is lost or there is no
        connection, nothing more is sent, and that has failed.
        """
        envelopes = [one.envelope(self._source, realm=self._realm) for one in said]
        try:
            enabled = await self._enabled_for(envelopes)
        except ServerUnavailable as error:
            return [_nowhere(one, error) for one in envelopes]
        chunks: list[_Chunk] = []
        try:
            unanswered = 0
            for at in range(0, len(envelopes), CHUNK):
                chunks.append(await self._hand(envelopes[at : at + CHUNK], enabled))
                await asyncio.sleep(0)  # it goes on its way while the next one is encoded
                while unanswered < len(chunks) and chunks[unanswered].answer.done():
                    unanswered += 1
                if unanswered and chunks[unanswered - 1].answer.exception():
                    break
            found = [one for chunk in chunks for one in await _told(chunk)]
        finally:
            for chunk in chunks:  # after a cancel: nobody will ask any more
                if not chunk.answer.cancel() and not chunk.answer.cancelled():
                    chunk.answer.exception()
        unsent = "not sent, because those before it were not answered"
        return found + [
            Published("failed", one.id, error=unsent, said=one) for one in envelopes[len(found) :]
        ]

    async def _enabled_for(self, envelopes: Sequence[Envelope]) -> Mapping[str, set[str]]:
        needing = {one.tenant for one in envelopes if self._outgoing.wants_enablement(one.type)}
        return await self._enabled(needing) if needing else {}

    async def _hand(self, some: Sequence[Envelope], enabled: Mapping[str, set[str]]) -> _Chunk:
        appends = [self._encoded(one, enabled.get(one.tenant, ())) for one in some]
        together = [one for group in appends if isinstance(group, list) for one in group]
        return _Chunk(some, appends, await self._appender.hand(together))

    def _encoded(self, envelope: Envelope, enabled: Iterable[str]) -> Appends | EventError:
        try:
            return self._outgoing.appends(envelope, enabled)
        except EventError as error:
            return error

    async def close(self) -> None:
        """Wait until everything said so far has its outcome. Idempotent; the broker stays open."""
        await self._appender.close()


async def _told(chunk: _Chunk) -> list[Published]:
    try:
        replies = iter(await chunk.answer)
    except BrokerUnavailable as error:
        return [
            _refused(said, group) if isinstance(group, EventError) else _lost(said, error)
            for said, group in zip(chunk.said, chunk.appends, strict=True)
        ]
    return [
        _refused(said, group)
        if isinstance(group, EventError)
        else _published(said, group, [next(replies) for _ in group])
        for said, group in zip(chunk.said, chunk.appends, strict=True)
    ]


def _refused(said: Envelope, error: EventError) -> Published:
    return Published("failed", said.id, error=f"{error.reason}: {error}", said=said)


def _nowhere(said: Envelope, error: ServerUnavailable) -> Published:
    return Published("failed", said.id, error=f"where it goes is not known ({error})", said=said)


def _lost(said: Envelope, error: BrokerUnavailable) -> Published:
    return Published("unknown" if error.sent else "failed", said.id, error=str(error), said=said)


def _published(said: Envelope, appends: Appends, replies: Sequence[str | HeadwaterError]) -> Published:
    if len(replies) == 1 and isinstance(replies[0], str):  # nearly always
        return Published("ok", said.id, ((appends[0][0], replies[0]),), "", said)
    taken: list[tuple[str, str]] = []
    errors: list[str] = []
    for (stream, _), reply in zip(appends, replies, strict=True):
        if isinstance(reply, str):
            taken.append((stream, reply))
        else:
            errors.append(str(reply))
    return Published("failed" if errors else "ok", said.id, tuple(taken), "; ".join(errors), said)
