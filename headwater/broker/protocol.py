"""Commands to bytes, replies to values: the part of RESP that the hot path needs.

redis-py keeps the connection, TLS and authentication; packing by hand costs a tenth of its
pipeline, and asking for RESP2 gives every server's replies one shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Any

import redis.exceptions as raised
from redis._parsers.hiredis import NOT_ENOUGH_DATA

from headwater.broker.entry import Entry
from headwater.errors import BrokerRefused, BrokerUnavailable, GroupMissing, HeadwaterError
from headwater.event import Fields

Word = bytes | str | int
Command = tuple[Word, ...]

_RETRYABLE = (
    "LOADING",
    "BUSY ",
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
        parts += (b"$", _length(len(word)), word, b"\r\n")
    return b"".join(parts)


class _Lengths(dict[int, bytes]):
    """How the lengths of values are spelled; short ones are kept, they are half the cost of packing."""

    def __missing__(self, length: int) -> bytes:
        spelled = b"%d\r\n" % length
        if length < 1024:
            self[length] = spelled
        return spelled


_length = _Lengths().__getitem__


def pack_append(stream: bytes, fields: Fields) -> bytes:
    """XADD with an id given by the server."""
    values = [stream, *fields.values()]
    parts = _append_of(tuple(fields)).copy()
    parts[1::3] = map(_length, map(len, values))
    parts[2::3] = values
    return b"".join(parts)


def append_form(stream: bytes, fields: Fields, varying: Sequence[bytes]) -> tuple[bytes, bytes]:
    """An append in which only the values of some fields vary: a template, and what follows the last of them.

    In it `%d` and `%b` stand for the length and bytes of each, of the last one for its length alone.
    """
    head = b""
    form = b"*%d\r\n$4\r\nXADD\r\n%b$1\r\n*\r\n" % (3 + 2 * len(fields), _bulk(stream))
    for name, value in fields.items():
        form += _bulk(name)
        if name == varying[-1]:
            head, form = form + b"$%d\r\n", b"\r\n"
        else:
            form += b"$%d\r\n%b\r\n" if name in varying else _bulk(value)
    return head, form % ()


def _bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text.replace(b"%", b"%%"))


Append = tuple[str, Fields | bytes]
"""Stream, and an entry's fields or its append, packed."""


def pack_appends(appends: Iterable[Append]) -> bytes:
    """Appends in order."""
    return b"".join(
        [one if isinstance(one, bytes) else pack_append(stream.encode(), one) for stream, one in appends]
    )


@lru_cache(maxsize=1024)
def _append_of(names: tuple[bytes, ...]) -> list[bytes]:
    """An append of these fields, with two places for each value: its length and itself."""
    parts = [b"*%d\r\n$4\r\nXADD\r\n$" % (3 + 2 * len(names)), b"", b""]
    id_given = b"\r\n$1\r\n*"
    for name in names:
        parts += (b"%b\r\n$%d\r\n%b\r\n$" % (id_given, len(name), name), b"", b"")
        id_given = b""
    return [*parts, b"\r\n"]


def pack_acknowledge(stream: str, group: str, ids: Sequence[str]) -> bytes:
    """XACK of any number of entries. Ids of one length are joined at once: their order says nothing."""
    alike: dict[int, list[str]] = {}
    for identity in ids:
        alike.setdefault(len(identity), []).append(identity)
    head = pack(("XACK", stream, group)).partition(b"\r\n")[2]
    parts = [f"${length}\r\n" + f"\r\n${length}\r\n".join(some) for length, some in alike.items()]
    return b"*%d\r\n%b%b\r\n" % (3 + len(ids), head, "\r\n".join(parts).encode())


def _word(word: Word) -> bytes:
    if isinstance(word, bytes):
        return word
    return word.encode() if isinstance(word, str) else b"%d" % word


def arrived(connection: Any, most: int) -> list[Any]:
    """Replies that redis-py's parser holds already, up to `most`: without a step of the event loop for each.

    The parser's Reader is not part of redis-py's interface: its version is pinned.
    """
    gets = connection._parser._reader.gets
    found: list[Any] = []
    while len(found) < most and (reply := gets(False)) is not NOT_ENOUGH_DATA:
        if isinstance(reply, raised.ConnectionError):
            raise reply
        found.append(refused(reply) if isinstance(reply, raised.ResponseError) else reply)
    return found


def entries(stream: str, reply: list[Any] | None) -> list[Entry]:
    """Entries of one stream from its part of an XREADGROUP, XRANGE or XAUTOCLAIM reply."""
    return [
        _entry((stream, identity.decode(), _fields(words) if words else None))
        for identity, words in reply or ()
    ]


def _fields(words: list[bytes]) -> Fields:
    word = iter(words)
    return dict(zip(word, word, strict=True))


_entry = partial(tuple.__new__, Entry)
"""An Entry in half the time of its own constructor."""


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
