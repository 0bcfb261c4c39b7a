"""What the engine's commands take from the tenant sync; nothing heavy is loaded before it is wanted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any


@contextlib.asynccontextmanager
async def temporal(wiring: Any) -> AsyncIterator[Any]:
    """What `headwater worker --temporal` runs: something with `run` and `stop`. Raises as temporal_worker."""
    from backfill.tenant_sync.system import temporal_worker  # noqa: PLC0415 (a second for every command)

    async with temporal_worker(wiring) as worker:
        yield worker
