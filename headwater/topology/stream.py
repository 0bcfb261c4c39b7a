"""Where events flow: streams, the groups that read them, and how an event finds its streams.

One event type belongs to exactly one stream family. A name with `{app}` stands for one stream per
application; such a stream gets an event only while the tenant has the application enabled.

A *side stream* stands beside a stream for one application: what backfills say to it, where that is wanted
apart from what is live.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from headwater.errors import DeclarationError
from headwater.event import Event
from headwater.topology.keys import Keys

DAY = 86_400.0


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A family of append-only logs in Redis."""

    name: str
    """The key in Redis; `{app}` in it makes it one stream an application."""
    events: tuple[type[Event], ...]
    retention: float | None = None
    """Seconds an entry is kept at least; None: as the setting `retention.<kept_as>` says."""
    kept_as: str = "streams"
    """The setting that says how long, where `retention` does not."""
    most: int | None = None
    """Entries it may have: beyond, the oldest go even if a group lacks them, which is a gap of that group."""
    size: int | None = None
    """Bytes it is to have at most: beyond, the oldest go although they are young, once every group that
    holds the stream has applied them."""
    partitions: int = 1
    """Keys a tenant's events are spread over; one tenant always stays on one."""
    spelling: Literal["own", "old"] = "own"
    """old: written with the type names and envelope of the existing systems."""

    @property
    def per_application(self) -> bool:
        """Whether each application has a stream of its own."""
        return "{app}" in self.name


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One application's reading of streams."""

    app: str
    name: str
    """The consumer group in Redis."""
    streams: tuple[str, ...]
    """Names of the stream families it reads."""
    aliases: tuple[str, ...] = ()
    """Other names older events use for the application."""


class Catalogue:
    """Every stream and every group of a system, checked against each other."""

    def __init__(
        self,
        streams: Iterable[Stream],
        groups: Iterable[Group],
        *,
        prefix: str = "",
        aside: Iterable[str] = (),
    ) -> None:
        """`aside`: applications whose backfills go through side streams; `*` for all.

        Raises DeclarationError when an event has two streams, a group reads an undeclared one, or an
        application in `aside` has no group.
        """
        self.streams = {stream.name: stream for stream in streams}
        self.groups = {group.app: group for group in groups}
        self.keys = Keys(prefix)
        self._family: dict[str, Stream] = {}
        for stream in self.streams.values():
            for event in stream.events:
                if event.type in self._family:
                    raise DeclarationError(f"{event.type!r} is on two streams")
                self._family[event.type] = stream
        for group in self.groups.values():
            unknown = set(group.streams) - set(self.streams)
            if unknown:
                raise DeclarationError(f"group {group.name!r} reads undeclared streams ({sorted(unknown)})")
        self._readers = {
            name: [
                (group.app, frozenset((group.app, *group.aliases)))
                for group in self.groups.values()
                if name in group.streams
            ]
            for name in self.streams
        }
        self._aside = self._named(aside)
        self.aside = frozenset(self._aside.values())
        """Applications whose backfills go through side streams."""

    def _named(self, apps: Iterable[str]) -> dict[str, str]:
        found = {
            group.app: group
            for one in apps
            for group in (self.groups.values() if one == "*" else (self.group(one),))
        }
        return {name: app for app, group in found.items() for name in (app, *group.aliases)}

    def with_prefix(self, prefix: str) -> Catalogue:
        """The same catalogue under another key prefix: for tests and shared servers."""
        return Catalogue(self.streams.values(), self.groups.values(), prefix=prefix, aside=self.aside)

    def with_side_streams(self, apps: Iterable[str]) -> Catalogue:
        """The same with side streams for these applications, `*` for all. Raises DeclarationError."""
        return Catalogue(self.streams.values(), self.groups.values(), prefix=self.keys.prefix, aside=apps)

    def stream(self, event_type: str) -> Stream:
        """The family of an event type. Raises DeclarationError when it has none."""
        try:
            return self._family[event_type]
        except KeyError:
            raise DeclarationError(f"no stream carries {event_type!r}") from None

    def group(self, app: str) -> Group:
        """The group of an application, by its name or an alias. Raises DeclarationError."""
        for group in self.groups.values():
            if app == group.app or app in group.aliases:
                return group
        raise DeclarationError(
            f"no group is declared for {app!r}", hint=f"declared: {', '.join(sorted(self.groups))}"
        )

    def route(self, event_type: str, tenant: str, enabled: Iterable[str]) -> list[tuple[str, str]]:
        """(stream key, target) for every stream an event goes to.

        A stream shared by all gets it once, with target `*`; a stream of an application gets it
        if the application is among `enabled` and its group reads that family.
        """
        stream = self.stream(event_type)
        if not stream.per_application:
            return [(self.keys.stream(stream, tenant), "*")]
        return [
            (self.keys.stream(stream, tenant, app), app) for app in self.readers(stream, frozenset(enabled))
        ]

    @property
    def names(self) -> frozenset[str]:
        """Every application."""
        return frozenset(self.groups)

    def readers(self, stream: Stream, enabled: frozenset[str]) -> list[str]:
        """Applications among `enabled` whose groups read a family."""
        return [app for app, names in self._readers[stream.name] if enabled & names]

    def keys_of(self, app: str) -> list[str]:
        """Every Redis key the application's group reads, in declared order; side streams last."""
        group = self.group(app)
        return [key for name in group.streams for key in self._fresh_keys(name, group)] + self.side_keys(app)

    def _fresh_keys(self, name: str, group: Group) -> list[str]:
        return self.keys.partitions(self.streams[name], app=group.app)

    def side_keys(self, app: str) -> list[str]:
        """The side streams of an application; none where its backfills go the way of what is live."""
        group = self.group(app)
        return [key for name in group.streams for key in self.sides(self.streams[name], group.app)]

    def sides(self, stream: Stream, app: str) -> list[str]:
        """The side streams of one family for an application."""
        return self.keys.sides(stream, app) if self.side(stream, app) else []

    def side(self, stream: Stream, target: str) -> str | None:
        """The application on whose side stream history for `target` goes; None: on the family's own."""
        app = self._aside.get(target)
        if app is None or stream.name not in self.groups[app].streams:
            return None
        return app if any(event.subject.state for event in stream.events) else None

    def all_keys(self) -> dict[str, tuple[Stream, list[Group]]]:
        """Every Redis key that should exist, with its family and the groups that read it."""
        found: dict[str, tuple[Stream, list[Group]]] = {}
        for group in self.groups.values():
            for name in group.streams:
                stream = self.streams[name]
                for key in (*self._fresh_keys(name, group), *self.sides(stream, group.app)):
                    found.setdefault(key, (stream, []))[1].append(group)
        return found

    def written_keys(self) -> list[str]:
        """Every Redis key that events can go to, also where no declared group reads."""
        shared = [one for one in self.streams.values() if not one.per_application]
        return list(
            dict.fromkeys([*self.all_keys(), *(key for one in shared for key in self.keys.partitions(one))])
        )

    def events_of(self, app: str) -> list[type[Event]]:
        """Every event on the streams the application reads."""
        return [event for name in self.group(app).streams for event in self.streams[name].events]
