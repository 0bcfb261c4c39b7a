"""The only place that asks for the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, aware UTC."""
    return datetime.now(UTC)


def stamp(instant: datetime) -> str:
    """An instant as it stands on the wire: ISO 8601, milliseconds, `Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def monotonic() -> float:
    """Seconds that only grow; for measuring, never for ordering events."""
    return time.monotonic()
