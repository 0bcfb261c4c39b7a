"""Postgres's protocol as far as a proxy needs it: queries, prepared statements, the end of answers.

What a client sends up to Sync (or alone, as a simple query) is one request. Encryption is refused in
the server's name, so clients that insist on TLS can not pass.
Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from headwater.testing.dialect import Asked, Part, Request

_TLS, _GSS, _CANCEL = 80877103, 80877104, 80877102
_ANSWERED = frozenset(b"QSF")
_SENT_ALONE = frozenset(b"HdcfXp")
_COMMENT = re.compile(rb"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_WORD = re.compile(rb"[A-Za-z]+")


class _Frame(NamedTuple):
    kind: int
    body: bytes
    raw: bytes


class Postgres:
    """One connection."""

    def __init__(self) -> None:
        self._asked = bytearray()
        self._answered = bytearray()
        self._begun = False
        self._held: list[_Frame] = []
        self._statements: dict[bytes, bytes] = {}
        self._portals: dict[bytes, bytes] = {}

    def requests(self, piece: bytes) -> list[Request]:
        """Requests that are complete now."""
        self._asked += piece
        found = []
        while not self._begun and (opening := self._opening()) is not None:
            found.append(opening)
        if self._begun:
            for frame in _frames(self._asked):
                self._held.append(frame)
                if frame.kind in _ANSWERED or frame.kind in _SENT_ALONE:
                    found.append(self._request(int(frame.kind in _ANSWERED)))
        return found

    def answers(self, piece: bytes) -> list[Part]:
        """Everything that is complete; an answer ends where the server is ready for the next query."""
        self._answered += piece
        return [Part(frame.raw, frame.kind == ord("Z")) for frame in _frames(self._answered)]

    def _opening(self) -> Request | None:
        """What stands before the start of a session has a length and no kind."""
        if len(self._asked) < 8:
            return None
        length, code = unpack_from("!ii", self._asked)
        if len(self._asked) < length:
            return None
        raw = bytes(self._asked[:length])
        del self._asked[:length]
        if code in {_TLS, _GSS}:
            return Request(raw, reply=b"N")
        if code == _CANCEL:
            return Request(raw, (Asked("CANCEL", b""),), answers=0)
        self._begun = True
        return Request(raw, (Asked("STARTUP", raw[8:]),))

    def _request(self, answers: int) -> Request:
        held, self._held = self._held, []
        asked = tuple(statement for frame in held for statement in self._of(frame))
        return Request(b"".join(frame.raw for frame in held), asked, answers)

    def _of(self, frame: _Frame) -> Iterator[Asked]:
        kind, body = chr(frame.kind), frame.body
        if kind == "Q":
            yield _statement(body.rstrip(b"\0"))
        elif kind == "P":
            name, text, _ = body.split(b"\0", 2)
            self._statements[name] = text
        elif kind == "B":
            portal, statement, _ = body.split(b"\0", 2)
            self._portals[portal] = self._statements.get(statement, b"")
        elif kind == "E":
            yield _statement(self._portals.get(body.split(b"\0", 1)[0], b""))


def _statement(text: bytes) -> Asked:
    bare = _COMMENT.sub(b"", text)
    word = _WORD.match(bare)
    return Asked(word[0].decode().upper() if word else "", bare)


def _frames(data: bytearray) -> list[_Frame]:
    """Take what is complete off the front."""
    found, place = [], 0
    while len(data) - place >= 5:
        end = place + 1 + unpack_from("!i", data, place + 1)[0]
        if end > len(data):
            break
        found.append(_Frame(data[place], bytes(data[place + 5 : end]), bytes(data[place:end])))
        place = end
    del data[:place]
    return found
