"""What a producer gets for what it said: enough to ask anywhere whether it was applied."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any, Literal

import msgspec

from headwater.errors import EventError
from headwater.event import Envelope

LONGEST = 4096
"""Signs of a token at most: it comes from outside."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was said."""

    event_id: str
    tenant: str
    subject: str
    key: str
    version: int | None = None
    state: bool = True
    """Whether the event is a state: then a larger version of its thing has this one in it."""

    @classmethod
    def of(cls, envelope: Envelope) -> Receipt:
        """For an envelope."""
        return cls(
            event_id=envelope.id,
            tenant=envelope.tenant,
            subject=envelope.subject,
            key=envelope.key,
            version=envelope.version,
            state=envelope.event.subject.state,
        )

    @property
    def token(self) -> str:
        """As one word of URL-safe text, to hand to whoever waits elsewhere. Not secret, not signed."""
        parts = (_shrink(self.event_id), _shrink(self.tenant), self.subject, _shrink(self.key))
        packed = msgspec.msgpack.encode((1, *parts, self.version, self.state))
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, token: str) -> Receipt:
        """From its token. Raises EventError `malformed`."""
        try:
            if len(token) > LONGEST:
                raise ValueError("too long")
            packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            _, event_id, tenant, subject, key, version, state = _READER.decode(packed)
            return cls(
                event_id=_grow(event_id),
                tenant=_grow(tenant),
                subject=subject,
                key=_grow(key),
                version=version,
                state=state,
            )
        except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
            raise EventError(
                "malformed", f"this is no receipt ({error})", hint="take the token of what publish returned"
            ) from error


_READER = msgspec.msgpack.Decoder(tuple[Literal[1], Any, Any, str, Any, int | None, bool])


def _shrink(text: str) -> str | bytes:
    try:
        number = uuid.UUID(text)
    except ValueError:
        return text
    return number.bytes if str(number) == text else text


def _grow(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, bytes):
        return str(uuid.UUID(bytes=part))
    raise ValueError("a part is no text")
