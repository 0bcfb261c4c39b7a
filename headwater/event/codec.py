"""Envelope to entry and back: flat, readable fields; `data` and `metadata` one JSON text each.

Reading never trusts: whatever is wrong with an entry becomes an EventError with a reason code,
so that one bad entry costs only itself. Writing reads back what it wrote, so that a publisher
hears of a bad event at once and not its consumers an hour later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from headwater.errors import EventError
from headwater.event.base import Operation
from headwater.event.envelope import Envelope
from headwater.event.registry import Registry

SIZE_LIMIT = 256 * 1024
"""Bytes of all fields of one entry together."""
EXACT_INTEGER = 2**53
"""Larger integers are written as JSON text: JavaScript would round them."""

Fields = dict[bytes, bytes]
Foreign = Callable[[Fields], Envelope]
"""Reads an entry of another dialect; raises EventError."""

_encoder = msgspec.json.Encoder(decimal_format="number")
_OPERATIONS: dict[bytes, Operation] = {b"u": "u", b"d": "d", b"x": "x"}


class Headers(msgspec.Struct, frozen=True):
    """What routing needs, read without touching JSON."""

    own: bool
    """True when the entry is of our dialect, so that target and hist can be trusted."""
    target: bytes
    historical: bool

    def concerns(self, application: bytes) -> bool:
        """Whether an application has to look at this entry at all."""
        return not self.own or self.target in {b"*", application} or application in self.target.split(b",")


def headers(fields: Mapping[bytes, bytes]) -> Headers:
    """The routing headers of an entry."""
    return Headers(b"op" in fields, fields.get(b"target", b"*"), fields.get(b"hist") == b"1")


class Codec:
    """Writes our dialect; reads ours and, by the decoder handed in, everybody else's."""

    def __init__(self, registry: Registry, foreign: Foreign | None = None) -> None:
        """`foreign` reads entries that are not of our dialect."""
        self.registry = registry
        self._foreign = foreign

    def encode(self, envelope: Envelope) -> Fields:
        """The fields of an entry, in constant order.

        Raises EventError: the event is too large, breaks its own contract, or holds text that
        Postgres can not (NUL, lone surrogates, NaN).
        """
        event = envelope.event
        if event.read_only:
            raise EventError("unknown_event", f"{event.type!r} is only read, never published")
        if not envelope.tenant:
            raise EventError("missing_tenant", f"{event.type!r} needs a tenant")
        metadata = {
            **envelope.metadata,
            **event.labels(),
            "targetApplication": None if envelope.target == "*" else envelope.target,
            "correlationId": envelope.correlation or None,
            "isHistoricalSync": envelope.historical,
        }
        original = event.original_time()
        if envelope.historical and original:
            metadata[original[0]] = original[1]
        fields = {
            b"eventId": envelope.id.encode(),
            b"eventType": event.type.encode(),
            b"tenantId": envelope.tenant.encode(),
            b"entityId": event.entity.encode(),
            **{name.encode(): _scalar(value) for name, value in event.headline().items()},
            b"timestamp": envelope.time.encode(),
            b"source": envelope.source.encode(),
            b"schemaVersion": str(event.schema_version).encode(),
            b"op": envelope.op.encode(),
            b"version": b"" if envelope.version is None else _integer(envelope.version),
            b"key": event.key.encode(),
            b"target": envelope.target.encode(),
            b"hist": b"1" if envelope.historical else b"0",
            **({b"job": envelope.job.encode()} if envelope.job else {}),
            b"data": _dump(event),
            b"metadata": _dump(metadata),
        }
        self._check(fields)
        return fields

    def _check(self, fields: Fields) -> None:
        if self.decode(fields).event.subject.tenanted and len(fields[b"tenantId"]) > 64:
            raise EventError("missing_tenant", "a tenant's id has at most 64 characters")

    def decode(self, fields: Fields) -> Envelope:
        """The envelope of an entry, of whichever dialect. Raises EventError."""
        size = sum(map(len, fields.values()))
        if size > SIZE_LIMIT:
            raise EventError("oversize", f"an entry has at most {SIZE_LIMIT} bytes ({size})")
        try:
            if b"op" in fields:
                return self._decode_own(fields)
            if self._foreign is None:
                raise EventError("malformed", "an entry without the field 'op' is not of our dialect")
            return self._foreign(fields)
        except EventError:
            raise
        except Exception as error:  # the edge of trust: whatever a stranger wrote costs only itself
            raise _explained(error, fields.get(b"data", b"") + fields.get(b"metadata", b"")) from error

    def _decode_own(self, fields: Fields) -> Envelope:
        try:
            data = fields[b"data"]
            event_type = fields[b"eventType"].decode()
            tenant = fields[b"tenantId"].decode()
            op = _OPERATIONS[fields[b"op"]]
            identity = fields[b"eventId"].decode()
        except KeyError as error:
            raise EventError(
                "malformed", f"an entry lacks a field or has a bad one ({error.args[0]!r})"
            ) from None
        if not tenant:
            raise EventError("missing_tenant", f"an entry of {event_type!r} names no tenant")
        metadata = fields.get(b"metadata", b"{}")
        guard(data, tenant)
        guard(metadata, tenant)
        event = self.registry.read(event_type, int(fields.get(b"schemaVersion", b"1")), data)
        version = read_integer(fields.get(b"version", b""))
        if version is None and event.subject.state and not event.read_only:
            raise EventError("missing_version", f"a state event needs a version ({event_type!r})")
        return Envelope(
            id=identity,
            event=event,
            tenant=tenant,
            time=fields.get(b"timestamp", b"").decode(),
            source=fields.get(b"source", b"").decode(),
            version=version,
            op=op,
            target=fields.get(b"target", b"*").decode(),
            historical=fields.get(b"hist") == b"1",
            job=fields.get(b"job", b"").decode(),
            metadata=_METADATA.decode(metadata),
        )


_NOT_FINITE = re.compile(rb"[\[:,\s]-?(NaN|Infinity)\b")
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_METADATA = msgspec.json.Decoder(dict[str, Any])
_ANYTHING = msgspec.json.Decoder()


def guard(json: bytes, tenant: str) -> None:
    """Refuse JSON that Postgres can not hold or that names another tenant.

    The fast path is two substring searches; only a hit is looked at closely.
    """
    if b"\\u0000" in json and _holds_nul(_ANYTHING.decode(json)):
        raise EventError("nul", "text holds a NUL character, which Postgres can not store")
    if b'"tenantId"' in json:
        value = _ANYTHING.decode(json)
        named = _tenants(value)
        if named - {tenant}:
            raise EventError("foreign_tenant", f"an entry of tenant {tenant!r} names another one inside")


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))


def _tenants(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_tenants, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    here = {value["tenantId"]} if isinstance(value.get("tenantId"), str) else set()
    return here.union(*map(_tenants, value.values()))


def read_integer(text: bytes) -> int | None:
    """An integer as it stands on the wire, quoted or not; None for an empty field. Raises ValueError."""
    return int(text.strip(b'"')) if text else None


def _integer(value: int) -> bytes:
    return b'"%d"' % value if abs(value) > EXACT_INTEGER else b"%d" % value


def _scalar(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool) or value is None:
        return _dump(value)
    return _integer(value) if isinstance(value, int) else _dump(value)


def _dump(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except (UnicodeEncodeError, TypeError, RecursionError) as error:
        raise _explained(error) from error


def finite(value: Decimal) -> Decimal:
    """A Decimal that is a number. Raises ValueError for NaN and the infinities."""
    if not value.is_finite():
        raise ValueError(f"not a finite number ({value})")
    return value


def _explained(error: Exception, json: bytes = b"") -> EventError:
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return EventError("invalid_utf8", f"text is not UTF-8 (byte {error.start})")
    if isinstance(error, UnicodeEncodeError):
        return EventError("surrogate", "text holds a lone surrogate, which is no character")
    if isinstance(error, RecursionError):
        return EventError("nesting", "JSON is nested too deeply")
    if "finite" in text or _NOT_FINITE.search(json):
        return EventError("not_finite", f"NaN and infinities are no JSON numbers ({text[:200]})")
    if _LONE_SURROGATE.search(json):
        return EventError("surrogate", f"text holds a lone surrogate ({text[:200]})")
    return EventError("malformed", text[:300])
