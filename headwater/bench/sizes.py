"""How much of each thing a run does."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """Counts, unless said otherwise."""

    events: int
    """Events of a backlog, and of each way to publish many."""
    rounds: int
    """Of each throughput figure; medians are reported."""
    seconds: float
    """Length of each run at a fixed rate."""
    flood: int
    """Entries of the one backlog that shows whether memory is flat; 0: none."""
    rows: int
    """Rows of the backfill."""
    windows: tuple[int, ...]
    """Windows of the backfills with live events beside."""
    rates: tuple[int, ...] = (200, 1_000, 5_000)
    """Events a second of the latency runs."""
    pairs: tuple[str, ...] = ("upsert", "function", "batch")
    """Ways to apply that two workers are measured with, too."""
    successors: tuple[str, ...] = ("bench", "other")
    """Names under which a killed worker is followed: its own, and another one, which waits for `min_idle`."""
    quiet: float = 10.0
    """Seconds of being idle: what a worker does every few of them is to be seen."""

    @property
    def awaited(self) -> int:
        """Direct publishes of which each is awaited before the next."""
        return max(self.events // 20, 20)

    @property
    def transactions(self) -> int:
        """Transactions that say one event; a tenth of them say a hundred."""
        return max(self.events // 50, 20)

    @property
    def looks(self) -> int:
        """Rows that the relay moves alone, one after the other."""
        return max(min(self.events // 200, 300), 10)


FULL = Sizes(100_000, 3, 10.0, 1_000_000, 1_000_000, (500, 2_000, 10_000))
QUICK = Sizes(20_000, 1, 1.5, 0, 20_000, (), (5_000,), ("upsert",), ("bench",), 4.0)


def sizes(*, quick: bool, events: int | None, rounds: int | None, seconds: float | None) -> Sizes:
    """Full or quick, with what was asked for in place of its own. Pure.

    `events` stands for every count: no backlog and no backfill is larger.
    """
    found = QUICK if quick else FULL
    if events is not None:
        found = found._replace(
            events=events, rows=min(found.rows, max(events, 100)), flood=min(found.flood, events)
        )
    if rounds is not None:
        found = found._replace(rounds=rounds)
    return found if seconds is None else found._replace(seconds=seconds, quiet=seconds)
