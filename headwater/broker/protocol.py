"""Commands to bytes, replies to values: the part of RESP that the hot path needs.

redis-py keeps the connection, TLS and authentication; packing by hand costs a tenth of its
pipeline, and asking for RESP2 gives every server's replies one shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import redis.exceptions as raised

from headwater.broker.entry import Entry
from headwater.errors import BrokerRefused, BrokerUnavailable, GroupMissing, HeadwaterError
from headwater.event import Fields

Word = bytes | str | int
Command = tuple[Word, ...]

_RETRYABLE = (
    "LOADING",
    "BUSY",
    "READONLY",
    "MISCONF",
    "OOM",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MASTERDOWN",
    "NOREPLICAS",
)


def pack(command: Iterable[Word]) -> bytes:
    """One command as RESP."""
    words = [_word(word) for word in command]
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts += (_length(word), word, b"\r\n")
    return b"".join(parts)


_LENGTHS = [b"$%d\r\n" % length for length in range(1024)]
"""Spelled once: formatting the lengths was half the cost of packing an entry."""


def _length(word: bytes) -> bytes:
    length = len(word)
    return _LENGTHS[length] if length < len(_LENGTHS) else b"$%d\r\n" % length


def pack_append(stream: bytes, fields: Fields) -> bytes:
    """XADD with an id given by the server."""
    parts = [b"*%d\r\n$4\r\nXADD\r\n" % (3 + 2 * len(fields)), _length(stream), stream, b"\r\n$1\r\n*\r\n"]
    for name, value in fields.items():
        parts += (_name(name), _length(value), value, b"\r\n")
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _name(name: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(name), name)


def _word(word: Word) -> bytes:
    if isinstance(word, bytes):
        return word
    return word.encode() if isinstance(word, str) else b"%d" % word


def entries(stream: str, reply: list[Any] | None) -> list[Entry]:
    """Entries of one stream from its part of an XREADGROUP, XRANGE or XAUTOCLAIM reply."""
    found = []
    for identity, words in reply or ():
        found.append(Entry(stream, identity.decode(), _fields(words) if words else None))
    return found


def _fields(words: list[bytes]) -> Fields:
    pairing = iter(words)
    return dict(zip(pairing, pairing, strict=True))


def refused(error: raised.ResponseError) -> HeadwaterError:
    """Redis's own error as one of ours. Translated here and nowhere else."""
    text = str(error)
    if isinstance(error, raised.NoScriptError):
        return BrokerRefused(text)
    if (
        text.startswith(("NOGROUP", "UNBLOCKED"))
        or "no such key" in text
        or "requires the key to exist" in text
    ):
        return GroupMissing(text)
    if isinstance(error, (raised.BusyLoadingError, raised.ReadOnlyError, raised.OutOfMemoryError)):
        return BrokerUnavailable(text)
    return BrokerUnavailable(text) if text.startswith(_RETRYABLE) else BrokerRefused(text)
