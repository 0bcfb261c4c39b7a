"""Streams that refuse entries: what is for them waits, everything else goes on.

A stream is tried again after a growing pause, with the oldest event it refused and no other; once that
is taken, all the others follow in their order. Pure: told what happened and what time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from headwater.patience import backoff


class _Refusal(NamedTuple):
    failures: int
    until: float
    trial: int | None = None
    """The one row that may go to it, to see whether it still refuses."""
    error: str = ""


class Refusals:
    """Of one leader, since it leads."""

    def __init__(self, pace: Callable[[int], float] = backoff) -> None:
        """`pace`: seconds until the next trial, from the refusals in a row."""
        self._pace = pace
        self._streams: dict[str, _Refusal] = {}

    def __bool__(self) -> bool:
        return bool(self._streams)

    @property
    def error(self) -> str:
        """What the first of them answered; empty when none refuses."""
        return next((one.error for one in self._streams.values()), "")

    def lets(self, stream: str, row: int) -> bool:
        """Whether a row may be appended to a stream now."""
        refusal = self._streams.get(stream)
        return refusal is None or refusal.trial == row

    def refused(self, stream: str, error: str, now: float) -> None:
        """A stream answered with an error that is its own."""
        known = self._streams.get(stream)
        if known is not None and known.trial is None and known.until > now:
            return  # the rest of the pipeline in which it refused first
        failures = known.failures + 1 if known else 1
        self._streams[stream] = _Refusal(failures, now + self._pace(failures), None, error)

    def due(self, now: float) -> list[str]:
        """Streams whose time for a trial has come."""
        return [name for name, one in self._streams.items() if one.trial is None and one.until <= now]

    def next_trial(self, now: float) -> float | None:
        """Seconds until the next one, None when no stream refuses."""
        return min((max(0.0, one.until - now) for one in self._streams.values()), default=None)

    def on_trial(self, stream: str, row: int | None) -> None:
        """A row may go to a stream that refused; None when no row waits for it any more."""
        if row is None:
            del self._streams[stream]
        else:
            self._streams[stream] = self._streams[stream]._replace(trial=row)

    def taken(self, stream: str) -> bool:
        """A stream took an entry; True when it had refused: what it held back may go on."""
        refusal = self._streams.get(stream)
        if refusal is None or refusal.trial is None:
            return False
        del self._streams[stream]
        return True

    def no_trial(self, rows: Iterable[int], now: float) -> None:
        """These rows were passed: a trial that none of them decided, as nobody wants the row, comes again."""
        passed = set(rows)
        for name, one in self._streams.items():
            if one.trial in passed:
                self._streams[name] = one._replace(trial=None, until=now)
