"""How large the next page is, and whether to try at all, decided from what happened. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

SLOW, QUICK = 1.0, 0.25
"""Seconds of a page above which the next is half as large, and below which it is twice as large."""
LEAST = 25
FAILURES = 5
"""Failures in a row after which nothing is tried but a probe, now and then."""


def next_size(size: int, seconds: float, most: int) -> int:
    """Rows of the next page, after one of `size` rows that took so long; between LEAST and `most`."""
    wanted = size // 2 if seconds > SLOW else size * 2 if seconds < QUICK else size
    return max(min(LEAST, most), min(most, wanted))


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """The waits between tries, in seconds, and how many tries follow the first."""

    retries: int = 3
    first: float = 1.0
    longest: float = 30.0
    factor: float = 2.0

    def before(self, retry: int) -> float:
        """Seconds before a retry, counted from 1."""
        # Bounded before it is raised: a factor of ten has no hundredth power in a float that is of use.
        return min(self.longest, self.first * self.factor ** min(retry - 1, 200))


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Whether sweeps are tried. A value: what happens gives the next one."""

    failures: int = 0
    """In a row."""
    limit: int = FAILURES
    pause: float = 60.0
    """Seconds of the first pause; each failed probe doubles it, up to ten times as long."""

    @property
    def state(self) -> Literal["closed", "open"]:
        """Open: only probes are made, one after each pause."""
        return "open" if self.failures >= self.limit else "closed"

    @property
    def rest(self) -> float:
        """Seconds until a probe; 0 while closed."""
        if self.state == "closed":
            return 0.0
        return min(10.0, 2.0 ** min(self.failures - self.limit, 10)) * self.pause

    def failed(self) -> Breaker:
        """After one more failure."""
        return msgspec.structs.replace(self, failures=self.failures + 1)

    def worked(self) -> Breaker:
        """After a success: closed."""
        return msgspec.structs.replace(self, failures=0)
