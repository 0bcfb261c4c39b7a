"""How one key differs between source and application, decided from what both showed. Pure.

A key agrees once the application shows a state that the source had since the comparison began: versions
of a key only grow, so a state between two that were seen counts, too. What is only on its way is
therefore never called a difference, however often the key changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

Kind = Literal["missing", "stale", "orphan", "ahead", "corrupt", "quarantined", "untracked"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""missing: the source alone has it. stale: older in the application. orphan: the application alone has it.
ahead: the application knows a newer version than the source. corrupt: same version, other content.
quarantined: missing or stale, with a dead letter for it. untracked: a row that headwater did not write."""


class Held(NamedTuple):
    """What an application has of a key."""

    version: int | None = None
    """Of its line in the ledger, also of a tombstone; None without a line."""
    gone: bool = False
    """Whether the line is a tombstone."""
    row: bool = False
    """Whether a row stands in its table."""

    @property
    def shown(self) -> int | None:
        """The version that a reader of the table sees; a tombstone is as good as no line."""
        return self.version if self.row and not self.gone else None

    @property
    def astray(self) -> bool:
        """Whether a row stands there that no line of the ledger speaks for: no event makes that."""
        return self.row and (self.gone or self.version is None)


NOTHING = Held()


def agrees(history: Sequence[int | None], held: Held) -> bool:
    """Whether the application shows what the source had.

    `history`: the versions the source showed; None: no row.
    """
    if held.astray:
        return False
    shown = held.shown
    if shown is None:
        return None in history
    known = [one for one in history if one is not None]
    return bool(known) and min(known) <= shown <= max(known)


def kind(source: int | None, held: Held) -> Kind | None:
    """How a key differs at one moment; None when it does not."""
    if source is None:
        return _left_over(held)
    known = held.version
    if held.shown is not None and held.shown == source:
        return None
    # A tombstone of the same version would turn the row away for ever, too.
    if known is not None and (known > source or (held.gone and known == source)):
        return "ahead"
    return "missing" if held.shown is None else "stale"


def _left_over(held: Held) -> Kind | None:
    if not held.row:
        return None
    return "untracked" if held.version is None else "orphan"


class Sighting:
    """What both sides showed of some keys, look by look."""

    def __init__(self) -> None:
        self._history: dict[str, list[int | None]] = {}
        self._held: dict[str, Held] = {}
        self._source: dict[str, int | None] = {}

    def look(self, keys: Sequence[str], source: Mapping[str, int], sink: Mapping[str, Held]) -> None:
        """Take what both showed of these keys into account."""
        for key in keys:
            self._history.setdefault(key, []).append(source.get(key))
            self._source[key] = source.get(key)
            self._held[key] = sink.get(key, NOTHING)
        for key in [one for one in keys if agrees(self._history[one], self._held[one])]:
            del self._history[key], self._source[key], self._held[key]

    def source_again(self, source: Mapping[str, int]) -> None:
        """A last look at the source alone: what the application showed may be what it has only now."""
        self.look(self.differing, source, dict(self._held))

    @property
    def differing(self) -> list[str]:
        """Keys that never agreed, in order."""
        return sorted(self._history)

    def kinds(self) -> dict[str, Kind]:
        """How each of them differed at the last look."""
        found: dict[str, Kind | None] = {
            key: kind(self._source[key], self._held[key]) for key in self.differing
        }
        return {key: how for key, how in found.items() if how is not None}


def by_kind(kinds: Mapping[str, Kind]) -> dict[Kind, list[str]]:
    """Keys in order, by kind; kinds without any are left out."""
    found: dict[Kind, list[str]] = {}
    for key in sorted(kinds):
        found.setdefault(kinds[key], []).append(key)
    return found
