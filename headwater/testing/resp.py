"""Redis's protocol as far as a proxy needs it: RESP2 and RESP3, whole commands and whole answers.

Not for connections that subscribe, monitor or switch answers off: there, answers have no commands.
Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from headwater.testing.dialect import Asked, Part, Request

_SIZED = frozenset(b"$!=")
_NESTED = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}
_ATTRIBUTE = ord("|")
_LINE = b"\r\n"


class _Incomplete(Exception):
    """More bytes are needed."""


class Resp:
    """One connection."""

    def __init__(self) -> None:
        self._asked = bytearray()
        self._answered = bytearray()

    def requests(self, piece: bytes) -> list[Request]:
        """Commands that are complete now. Inline commands, as people type them, too."""
        self._asked += piece
        found = []
        for start, end in _values(self._asked):
            raw = bytes(self._asked[start:end])
            words = _words(raw)
            name = words[0].decode(errors="replace").upper() if words else ""
            found.append(Request(raw, (Asked(name, b" ".join(words)),), 1 if words else 0))
        del self._asked[: sum(len(one.raw) for one in found)]
        return found

    def answers(self, piece: bytes) -> list[Part]:
        """Whole answers; what the server says unasked (a RESP3 push) ends none."""
        self._answered += piece
        found = [
            Part(bytes(self._answered[start:end]), self._answered[start] not in b">|")
            for start, end in _values(self._answered)
        ]
        del self._answered[: sum(len(one.raw) for one in found)]
        return found


def _values(data: bytearray) -> list[tuple[int, int]]:
    """Where complete values start and end."""
    found = []
    start = 0
    while start < len(data):
        try:
            end = _end(data, start)
        except _Incomplete:
            break
        found.append((start, end))
        start = end
    return found


def _end(data: bytearray, start: int) -> int:
    """Behind the value that starts here; a count of values that are still to come replaces recursion."""
    left, place = 1, start
    while left:
        stop = data.find(_LINE, place)
        if stop < 0:
            raise _Incomplete
        kind, left = data[place], left - 1
        after = stop + len(_LINE)
        if kind in _SIZED:
            size = int(data[place + 1 : stop])
            after += size + len(_LINE) if size >= 0 else 0
        elif kind in _NESTED:
            left += max(0, int(data[place + 1 : stop])) * _NESTED[kind]
            left += kind == _ATTRIBUTE and place > start  # within a value it stands before one of its parts
        if after > len(data):
            raise _Incomplete
        place = after
    return place


def _words(raw: bytes) -> list[bytes]:
    if not raw.startswith(b"*"):
        return raw.split()
    words, place = [], raw.index(_LINE) + 2
    while place < len(raw):
        stop = raw.index(_LINE, place)
        size = int(raw[place + 1 : stop])
        words.append(raw[stop + 2 : stop + 2 + size])
        place = stop + 2 + size + 2
    return words
