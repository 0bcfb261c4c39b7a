"""Named places where a test may make a process die.

Off unless `HEADWATER_FAILPOINTS` names them (`relay.appended=2,worker.committed`): the number says at
which pass, default the first. Hitting one ends the process as `kill -9` would: no clean-up runs.
"""

from __future__ import annotations

import os
import signal

_armed: dict[str, int] = {}


def arm(spec: str) -> None:
    """Set the failpoints of this process from `name[=pass],…`; an empty text disarms all."""
    _armed.clear()
    for part in filter(None, (piece.strip() for piece in spec.split(","))):
        name, _, count = part.partition("=")
        _armed[name] = int(count or 1)


def reached(name: str) -> None:
    """Die here when the failpoint is armed and this is the named pass."""
    if not _armed or name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
