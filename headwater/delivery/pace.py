"""How a worker goes about it: values, decided outside."""

from __future__ import annotations

from typing import Required, TypedDict

import msgspec

from headwater.delivery.hand import BUDGET
from headwater.delivery.names import Lease
from headwater.delivery.outcome import Limits
from headwater.delivery.pulse import WEDGED_AFTER


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker takes entries. Seconds."""

    block: float = 2.0
    """Longest wait of one read; also the slowest reaction to a server that went away."""
    count: int = 1000
    """Entries of one transaction at most."""
    transactions: int = 3
    """Transactions in flight; beside them one fewer, but one at least, for historical events."""
    hand: int = BUDGET
    """Bytes in hand at most."""
    min_idle: float = 10.0
    """A delivery untouched for this long is taken from its consumer."""
    heartbeat: float = 3.0
    wedged: float = WEDGED_AFTER
    """A loop that is so late has got stuck."""
    look: float = 12.0
    """Between two looks for losses."""
    drain: float = 25.0
    """Longest time to finish what is in hand after a stop."""


class Manner(TypedDict, total=False):
    """How one worker goes about it."""

    name: Required[str]
    """Its consumer name in Redis: one for each process, kept over restarts. A lease replaces it."""
    lease: Lease
    """Decides the name when the worker starts, and keeps others from using it."""
    pace: Pace
    limits: Limits
