"""One name for one run of a sync, in every log line, request and row of it: `sync-{tenant}-{ms}-{random}`."""

from __future__ import annotations

import secrets
import string

HEADER = "X-Correlation-ID"
"""How it travels to the wrapper's API."""
LETTERS = string.digits + string.ascii_lowercase
RANDOM = 9
"""Characters that tell apart two runs of one millisecond."""


def correlation_id(tenant: str, milliseconds: int, noise: str | None = None) -> str:
    """The name of a run that began `milliseconds` after 1970; `noise` is drawn where it is not given."""
    drawn = noise or "".join(secrets.choice(LETTERS) for _ in range(RANDOM))
    return f"sync-{tenant}-{milliseconds}-{drawn}"
