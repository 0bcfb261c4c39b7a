"""Every Redis key is built here."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.topology.stream import Stream


def partition(tenant: str, count: int) -> int:
    """Which of `count` partitions a tenant's events are on: CRC-32 of its id, in every language the same."""
    return zlib.crc32(tenant.encode()) % count


class Keys:
    """Names of keys under one prefix, which is empty by default."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._names: dict[tuple[str, str, int, bool], str] = {}

    @property
    def beats(self) -> str:
        """Which database each application had at the last look, and how often it was looked at."""
        return f"{self.prefix}headwater:beats"

    @property
    def gaps(self) -> str:
        """What applications miss and the relay may say again."""
        return f"{self.prefix}headwater:gaps"

    @property
    def repairs(self) -> str:
        """What the relay said again of it, and up to which entry."""
        return f"{self.prefix}headwater:repairs"

    def stream(self, stream: Stream, tenant: str, app: str = "") -> str:
        """The key that carries a tenant's events of a family."""
        return self._name(stream, app, _number(stream, tenant))

    def partitions(self, stream: Stream, app: str = "") -> list[str]:
        """All keys of a family, for one application where it has one each."""
        return [self._name(stream, app, number) for number in range(stream.partitions)]

    def side(self, stream: Stream, tenant: str, app: str) -> str:
        """The side stream: what backfills say to one application of a tenant's events of a family."""
        return self._name(stream, app, _number(stream, tenant), side=True)

    def sides(self, stream: Stream, app: str) -> list[str]:
        """All side streams of a family for one application."""
        return [self._name(stream, app, number, side=True) for number in range(stream.partitions)]

    def _name(self, stream: Stream, app: str, number: int, *, side: bool = False) -> str:
        known = self._names.get((stream.name, app, number, side))
        if known is None:
            name = self.prefix + stream.name.replace("{app}", app) + (f":bf:{app}" if side else "")
            known = name if stream.partitions == 1 else f"{name}:{{{number}}}"
            self._names[stream.name, app, number, side] = known
        return known


def _number(stream: Stream, tenant: str) -> int:
    return 0 if stream.partitions == 1 else partition(tenant, stream.partitions)
