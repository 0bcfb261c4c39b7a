"""How far an application is behind what was said: entries, and the age of the oldest not applied."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from headwater import clock
from headwater.broker import Broker, lag
from headwater.topology import Catalogue


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One application's group on one stream. A missing group has nothing given out, and no age."""

    application: str
    group: str
    stream: str
    missing: bool = False
    """Stream or group does not exist: nothing can be told, nothing arrives."""
    entries: int = 0
    """Not yet given to the group."""
    exact: bool = True
    """False: at least so many."""
    pending: int = 0
    """Given out, not yet acknowledged."""
    oldest: float = 0.0
    """Age in seconds of the oldest event that is not applied; 0 when all are."""
    living: int = 0
    """Workers that asked within the last 15 seconds."""
    silent: float | None = None
    """Seconds since any worker asked; null when none ever did."""
    clock_behind: float = 0.0
    """Seconds that the server's clock is behind its own ids; above 0, `oldest` is a lower bound."""


async def standings(broker: Broker, catalogue: Catalogue, app: str | None = None) -> list[Standing]:
    """Every declared group, or one application's, on every stream it reads, in declared order.

    Raises DeclarationError for an unknown application, BrokerUnavailable.
    """
    groups = [catalogue.group(app)] if app else list(catalogue.groups.values())
    where = [(group, key) for group in groups for key in catalogue.keys_of(group.app)]
    behind = await lag.lags(broker, [(key, group.name) for group, key in where])
    return [
        _standing(group.app, group.name, key, one) for (group, key), one in zip(where, behind, strict=True)
    ]


def _standing(app: str, group: str, stream: str, behind: lag.Lag | None) -> Standing:
    known = Standing(application=app, group=group, stream=stream, missing=behind is None)
    if behind is None:
        return known
    return msgspec.structs.replace(
        known,
        entries=behind.entries,
        exact=behind.exact,
        pending=behind.pending,
        oldest=round(behind.oldest, 3),
        living=behind.living,
        silent=behind.silent,
        clock_behind=behind.clock_behind,
    )


def stale(found: Iterable[Standing], max_age: float) -> list[Standing]:
    """Those that are not known to have applied everything older than `max_age` seconds. Pure.

    A group that is missing is among them, and one with something unapplied under a clock that went
    back by more than `max_age`: its age is not known to be less.
    """
    return [one for one in found if _is_stale(one, max_age)]


def _is_stale(one: Standing, max_age: float) -> bool:
    unapplied = one.entries + one.pending > 0
    return one.missing or one.oldest > max_age or (unapplied and one.clock_behind > max_age)


class Ages:
    """What one process knows of ages, also while it can not ask: then what is not applied grows older."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, float]] = {}

    @property
    def known(self) -> list[tuple[str, str]]:
        """(stream, group) of everything an age was ever told of."""
        return list(self._known)

    def at(self, stream: str, group: str, told: float | None) -> float | None:
        """The age now; `told` is None while it is unknown. None only before it was ever told."""
        now = clock.monotonic()
        if told is not None:
            self._known[stream, group] = (told, now)
            return told
        age, since = self._known.get((stream, group), (None, now))
        return age + (now - since) if age else age
