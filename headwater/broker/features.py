"""What a server can do beyond Redis 7.0: found by asking, never by its version.

Each option is sent to a key that does not exist: a server that knows it answers that the key is missing,
or nothing at all, and one that does not answers that it does not understand. Nothing is written. Whoever
may not use a command is told the same as if the server did not know it: what stands in works everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from headwater.broker.protocol import Command
from headwater.errors import GroupMissing, HeadwaterError

BUSY = ("LOADING", "BUSY ", "MASTERDOWN")
"""How a server answers that takes no questions now: it has to be asked again."""
NOWHERE = "headwater:no-such-stream"


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """Each works without: what stands in for it is in docs/delivery.md."""

    nack: bool = False
    """XNACK: entries that are given back are handed out again at once. Redis 8.8."""
    claim: bool = False
    """XREADGROUP CLAIM: idle entries come with new ones. Redis 8.4."""
    bounded_read: bool = False
    """XREADGROUP MAXCOUNT and MAXSIZE: one answer has an upper bound. Redis 8.10."""
    acknowledge_delete: bool = False
    """XACKDEL ACKED: what every group acknowledged is removed with the last acknowledgement. Redis 8.2."""
    trim_acknowledged: bool = False
    """XTRIM ACKED: only what every group acknowledged is trimmed. Redis 8.2."""
    idempotent: bool = False
    """XADD IDMP: an append that is repeated under the same id is one entry. Redis 8.6."""

    @property
    def names(self) -> list[str]:
        """Those that are there."""
        return [name for name, there in msgspec.structs.asdict(self).items() if there]


NONE = Features()
"""What every server can do."""

_READ = ("XREADGROUP", "GROUP", "headwater", "headwater", "COUNT", 1)
_STREAM = ("STREAMS", NOWHERE, ">")
PROBES: dict[str, Command] = {
    "nack": ("XNACK", NOWHERE, "headwater", "SILENT", "IDS", 1, "1-1"),
    "claim": (*_READ, "CLAIM", 1_000_000, *_STREAM),
    "bounded_read": (*_READ, "MAXCOUNT", 1, "MAXSIZE", 1, *_STREAM),
    "acknowledge_delete": ("XACKDEL", NOWHERE, "headwater", "ACKED", "IDS", 1, "1-1"),
    "trim_acknowledged": ("XTRIM", NOWHERE, "MINID", "=", "0-1", "ACKED"),
    "idempotent": ("XADD", NOWHERE, "NOMKSTREAM", "IDMP", "headwater", "1", "*", "a", "b"),
}
"""What is asked for each."""


async def probe(ask: Callable[[Sequence[Command]], Awaitable[list[Any]]]) -> tuple[Features, bool]:
    """What the server behind `ask` can do, in one pipeline, and whether that may be remembered.

    `ask` returns error replies as values.
    """
    replies = await ask(list(PROBES.values()))
    found = Features(**{name: knows(reply) for name, reply in zip(PROBES, replies, strict=True)})
    return found, not any(str(reply).startswith(BUSY) for reply in replies if isinstance(reply, Exception))


def knows(reply: object) -> bool:
    """Whether an answer means that the server understood the option. Pure.

    A server that is out of memory or loading says nothing about it: until it is asked again, it does not.
    """
    return isinstance(reply, GroupMissing) or not isinstance(reply, HeadwaterError)
