"""What a proxy has to know of a protocol: where a request ends, what it says, where its answer ends."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Asked(NamedTuple):
    """One command or statement."""

    name: str
    """In capitals: `XADD`, `COMMIT`."""
    text: bytes
    """All of it: for Redis its words with spaces between."""


class Request(NamedTuple):
    """What is passed on in one piece."""

    raw: bytes
    asked: tuple[Asked, ...] = ()
    answers: int = 1
    """How many answers the server gives to it: 1, or 0 when more has to be sent first."""
    reply: bytes = b""
    """What the proxy answers in place of the server, which never hears of the request."""


class Part(NamedTuple):
    """Some of an answer, or between two."""

    raw: bytes
    ends: bool
    """Whether an answer is complete with it."""


class Dialect(Protocol):
    """Cuts the two streams of one connection into pieces, wherever the network cut them."""

    def requests(self, piece: bytes) -> list[Request]:
        """What is complete with these bytes of the client, in order."""
        ...

    def answers(self, piece: bytes) -> list[Part]:
        """What can be passed on with these bytes of the server, in order."""
        ...
