"""How much of each thing a run of the bench does."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """Counts, unless said otherwise."""

    name: str
    awaited: int
    """Direct publishes, each awaited before the next."""
    together: int
    """Direct publishes with 50 under way, and those of `publish_many`."""
    transactions: int
    """Outbox transactions of one event, and of a hundred events in all ten times as many events."""
    relayed: int
    """Outbox rows to relay."""
    backlog: int
    """Entries a worker applies."""
    rounds: int
    """Rounds of the apply figures; medians are reported."""
    rows: int
    """Rows of the backfill."""
    paced_rows: int
    """Rows of each backfill that tries a window."""
    windows: tuple[int, ...]
    """Windows tried with live events beside."""
    seconds: float
    """Length of each latency run."""
    rates: tuple[int, ...]
    """Events a second of the latency runs."""
    careful: bool = True
    """Whether servers of our own wait for their disks."""


WINDOWS = (500, 2_000, 10_000)
FULL = Sizes(
    *("full", 5_000, 100_000, 2_000, 50_000, 100_000, 3, 1_000_000, 200_000, WINDOWS, 10.0, (200, 1_000))
)
QUICK = Sizes(*("quick", 2_000, 40_000, 1_000, 20_000, 50_000, 1, 100_000, 50_000, WINDOWS, 4.0, (1_000,)))
SMOKE = Sizes(*("smoke", 20, 400, 20, 400, 400, 1, 2_000, 0, (), 0.2, (100,)), careful=False)
