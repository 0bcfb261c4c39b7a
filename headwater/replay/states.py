"""The states of a backfill job, and which may follow which.

    queued → running ⇄ paused → catching_up → verifying → verified | diverged | partial | failed | cancelled

What failed, diverged or was cancelled may be tried again. `partial` is the end of a run that could
not prove agreement: it was narrowed, or the application's database is not known.
"""

from __future__ import annotations

from typing import Literal

State = Literal[
    "queued",
    "running",
    "paused",
    "catching_up",
    "verifying",
    "verified",
    "diverged",
    "partial",
    "failed",
    "cancelled",
]
FINAL: frozenset[State] = frozenset({"verified", "diverged", "partial", "failed", "cancelled"})
RETRIED: frozenset[State] = frozenset({"failed", "diverged", "cancelled"})
"""Final states that a job can be brought back from."""
READING: frozenset[State] = frozenset({"queued", "running"})
"""States in which a pause makes sense: later ones only wait for the application, and compare."""

_ENDS: tuple[State, ...] = ("failed", "cancelled")
MOVES: dict[State, frozenset[State]] = {
    "queued": frozenset({"running", "paused", *_ENDS}),
    "running": frozenset({"paused", "catching_up", *_ENDS}),
    "paused": frozenset({"queued", "running", "cancelled"}),
    "catching_up": frozenset({"verifying", "partial", *_ENDS}),
    "verifying": frozenset({"verified", "diverged", "partial", *_ENDS}),
    "verified": frozenset(),
    "diverged": frozenset({"queued"}),
    "partial": frozenset(),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
}


def before(state: State) -> list[State]:
    """The states in which a runner may say that the job is in this one now; itself is one of them. Pure."""
    return [old for old, following in MOVES.items() if state in following or old == state]
