"""Real servers for a machine that has none: a Postgres and a Redis that live and die with this process."""

import sys

if sys.platform == "win32":
    raise ImportError(
        "embedded servers need Linux or macOS; on Windows use WSL2, "
        "or set HEADWATER_REDIS_URL and HEADWATER_SOURCE_URL"
    )

from headwater.embedded.choice import Mode
from headwater.embedded.servers import Servers

__all__ = ["Mode", "Servers"]
