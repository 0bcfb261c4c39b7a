"""Where an event goes and how it stands there: one way, for relay, direct producer and backfill."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from headwater.broker.protocol import Append
from headwater.database import Database
from headwater.event import Codec, Envelope, Event, Fields
from headwater.publish.forms import Forms
from headwater.publish.scope import Scope
from headwater.topology import Catalogue, Stream

Respell = Callable[[Envelope, Fields, str], Fields]
"""Rewrites an entry in the old spelling of its stream."""

Enabled = Callable[[Iterable[str]], Awaitable[Mapping[str, set[str]]]]
"""Which applications each tenant has enabled."""

PLANS = 4096
"""Routes that are remembered."""

_Plan = tuple[Stream, tuple[tuple[str, str], ...]]
"""The family, and for each stream of it (application, target on the wire)."""


class Outgoing:
    """Routes and encodes envelopes."""

    def __init__(
        self,
        codec: Codec,
        catalogue: Catalogue,
        respell: Respell | None = None,
        *,
        scopes: Mapping[str, Scope] | None = None,
    ) -> None:
        """`respell` is needed when a stream of the catalogue is declared in the old spelling.

        `scopes`: by subject, what of it belongs to an application; of other subjects every state does.
        """
        self.codec = codec
        self.catalogue = catalogue
        self._respell = respell
        self._scopes = scopes or {}
        self._plans: dict[tuple[str, str, frozenset[str], bool], _Plan] = {}
        self._wanting: dict[str, bool] = {}
        self._forms = Forms(codec, self._aims)

    def entries(self, envelope: Envelope, enabled: Iterable[str]) -> list[tuple[str, Fields]]:
        """(stream key, fields) for every stream the event goes to now; empty when nobody wants it.

        A historical event with a target goes to that application alone. A live one that is meant for an
        application goes nowhere while that is not enabled, also not to a stream that all share. History goes
        to the side stream of an application that has one. An application whose scope the event is not in is
        told that its key is gone: on a shared stream that may be a second entry.
        Raises EventError.
        """
        return [
            entry for one, apps in self._scoped(envelope, enabled) for entry in self._as_they_are(one, apps)
        ]

    def _as_they_are(self, envelope: Envelope, enabled: Iterable[str]) -> list[tuple[str, Fields]]:
        stream, aims = self._route(envelope, enabled)
        found = []
        for app, aimed in aims:
            addressed = (
                envelope if aimed == envelope.target else msgspec.structs.replace(envelope, target=aimed)
            )
            key = self._key(stream, envelope, app)
            found.append((key, self._spell(addressed, key, stream)))
        return found

    def appends(self, envelope: Envelope, enabled: Iterable[str]) -> list[Append]:
        """The same as `entries`, packed where the event is of the usual kind: at half the cost."""
        if not self._scopes:
            return self._packed(envelope, enabled)
        return [one for said, apps in self._scoped(envelope, enabled) for one in self._packed(said, apps)]

    def _packed(self, envelope: Envelope, enabled: Iterable[str]) -> list[Append]:
        plainly = self._respell is None or self.catalogue.stream(envelope.type).spelling == "own"
        packed = self._forms.packed(envelope, enabled) if plainly else None
        return list(self._as_they_are(envelope, enabled)) if packed is None else packed

    def _scoped(self, envelope: Envelope, enabled: Iterable[str]) -> list[tuple[Envelope, Iterable[str]]]:
        """What is to be said, and to which of those that have it enabled."""
        scope = self._scopes.get(envelope.subject)
        if scope is None or envelope.op != "u":
            return [(envelope, enabled)]
        stream = self.catalogue.stream(envelope.type)
        inside, outside = scope.parted(envelope, self._readers(stream, envelope, enabled))
        if not outside:
            return [(envelope, enabled)]
        gone = scope.left(envelope)
        if not inside:
            return [(gone, enabled)]
        both = ((envelope, inside), (gone, outside))
        if stream.per_application:
            return list(both)
        # Meant for all that read the stream, whatever is enabled: so is each of its two halves.
        return [(msgspec.structs.replace(one, target=",".join(apps)), apps) for one, apps in both]

    def _readers(self, stream: Stream, envelope: Envelope, enabled: Iterable[str]) -> list[str]:
        if stream.per_application:
            who = (envelope.target,) if envelope.historical else enabled
            return self.catalogue.readers(stream, frozenset(who))
        meant = frozenset(envelope.target.split(","))
        return self.catalogue.readers(stream, meant if "*" not in meant else self.catalogue.names)

    def _aims(self, envelope: Envelope, enabled: Iterable[str]) -> list[tuple[str, str]]:
        stream, aims = self._route(envelope, enabled)
        return [(self._key(stream, envelope, app), aimed) for app, aimed in aims]

    def _key(self, stream: Stream, envelope: Envelope, app: str) -> str:
        aside = self.catalogue.side(stream, envelope.target) if envelope.historical else None
        if aside is not None:
            return self.catalogue.keys.side(stream, envelope.tenant, aside)
        return self.catalogue.keys.stream(stream, envelope.tenant, app)

    def _route(self, envelope: Envelope, enabled: Iterable[str]) -> _Plan:
        who = frozenset((envelope.target,)) if envelope.historical else frozenset(enabled)
        return self._plan(envelope.type, envelope.target, who, envelope.historical)

    def _plan(self, event_type: str, target: str, enabled: frozenset[str], historical: bool) -> _Plan:
        asked = (event_type, target, enabled, historical)
        plan = self._plans.get(asked)
        if plan is None:
            if len(self._plans) >= PLANS:  # targets may be whatever somebody wrote into the outbox
                self._plans.clear()
            plan = self._plans[asked] = self._new_plan(event_type, target, enabled, historical=historical)
        return plan

    def _new_plan(self, event_type: str, target: str, enabled: frozenset[str], *, historical: bool) -> _Plan:
        stream = self.catalogue.stream(event_type)
        if not historical and not self._may_have(target, enabled):
            return stream, ()
        if not stream.per_application:
            return stream, (("", target),)
        return stream, tuple((app, app) for app in self.catalogue.readers(stream, enabled))

    def _may_have(self, target: str, enabled: frozenset[str]) -> bool:
        for app, group in self.catalogue.groups.items():
            if target in {app, *group.aliases}:
                return bool(enabled & {app, *group.aliases})
        return True  # meant for all, or for somebody whose groups are not ours

    def _spell(self, envelope: Envelope, key: str, stream: Stream) -> Fields:
        fields = self.codec.encode(envelope)
        if self._respell is None or stream.spelling == "own":
            return fields
        return self._respell(envelope, fields, key)

    def wants_enablement(self, event_type: str) -> bool:
        """Whether the event's streams depend on what its tenant has enabled."""
        known = self._wanting.get(event_type)
        if known is None:
            known = self._wanting[event_type] = self._depends(event_type)
        return known

    def _depends(self, event_type: str) -> bool:
        stream = self.catalogue.stream(event_type)
        aimed = any(one.type == event_type and one.target is not Event.target for one in stream.events)
        return stream.per_application or aimed


_NEVER: tuple[float, set[str]] = (0.0, set())
MOST_KNOWN = 10_000
"""Tenants remembered before those are forgotten whose time is over."""


class Enablement:
    """What each tenant has enabled, read from the source, remembered for at most `ttl` seconds.

    Chunk reads of a backfill start only after that time has passed since the toggle, so that a
    change published by an outdated memory is seen by the reads.
    """

    def __init__(self, database: Database, query: str, *, ttl: float = 1.0) -> None:
        """`query`: `$1 text[] tenants -> rows (tenant text, app text)`."""
        self._database = database
        self._query = query
        self._ttl = ttl
        self._known: dict[str, tuple[float, set[str]]] = {}

    async def __call__(self, tenants: Iterable[str]) -> Mapping[str, set[str]]:
        """Enabled applications of each tenant asked for."""
        asked, now = set(tenants), time.monotonic()
        known = {one: self._known[one] for one in asked if self._known.get(one, _NEVER)[0] > now}
        outdated = [one for one in asked if one not in known]
        if outdated:
            found = gather(await self._database.fetch(self._query, outdated))
            read = {one: (now + self._ttl, found.get(one, set())) for one in outdated}
            if (
                len(self._known) > MOST_KNOWN
            ):  # of those that said something long ago nothing is worth keeping
                self._known = {one: kept for one, kept in self._known.items() if kept[0] > now}
            self._known |= read
            known |= read
        return {one: apps for one, (_, apps) in known.items()}


def gather(rows: Iterable[Any]) -> dict[str, set[str]]:
    """Rows (tenant, app) as a mapping."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["tenant"], set()).add(row["app"])
    return found
