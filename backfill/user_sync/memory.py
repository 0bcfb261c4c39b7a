"""How much memory this process holds."""

from __future__ import annotations

import os

from headwater.bench import usage


def resident() -> float | None:
    """MiB now; None where this system does not tell."""
    return usage.resident(os.getpid())
