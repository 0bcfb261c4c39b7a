"""How the values of an entry are spelled. What is the same for every event of a class is asked once."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from headwater.event.base import Event
from headwater.event.envelope import Envelope
from headwater.event.limits import EXACT_INTEGER, Fields

_encoder = msgspec.json.Encoder(decimal_format="number")


class Habits(NamedTuple):
    """What every event of a class has, so that it is not asked of each."""

    type: bytes
    version: bytes
    entity: bool
    headline: bool
    labels: bool
    unusual: bool
    """One of these three."""


@cache
def habits(event: type[Event]) -> Habits:
    """Of a class."""
    declared = ("entity", "headline", "labels")
    entity, headlined, labelled = (getattr(event, name) is not getattr(Event, name) for name in declared)
    return Habits(
        event.type.encode(),
        b"%d" % event.schema_version,
        entity=entity,
        headline=headlined,
        labels=labelled,
        unusual=entity or headlined or labelled,
    )


def headline(event: Event) -> Fields:
    """The fields that older readers look for."""
    return {name.encode(): _scalar(value) for name, value in event.headline().items()}


def spell_metadata(envelope: Envelope, *, labelled: bool) -> bytes:
    """`metadata` of an entry. Raises ValueError for what is no finite number."""
    original = envelope.event.original_time() if envelope.historical else None
    repeated = envelope.historical or not envelope.correlation
    if repeated and not (envelope.metadata or labelled or original):
        return _plain_metadata(envelope.target, envelope.correlation, envelope.historical)
    if envelope.metadata:
        _refuse_not_finite(envelope.metadata)
    return dump(
        {
            **envelope.metadata,
            **envelope.event.labels(),
            **_headers(envelope.target, envelope.correlation, historical=envelope.historical),
            **(dict([original]) if original else {}),
        }
    )


@lru_cache(maxsize=256)
def _plain_metadata(target: str, correlation: str, historical: bool) -> bytes:
    return dump(_headers(target, correlation, historical=historical))


def _headers(target: str, correlation: str, *, historical: bool) -> dict[str, Any]:
    return {
        "targetApplication": None if target == "*" else target,
        "correlationId": correlation or None,
        "isHistoricalSync": historical,
    }


def _refuse_not_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number ({value})")  # msgspec would write null
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_not_finite(part)


def spell_version(version: int | None) -> str:
    """A row's version as it stands on the wire; `read_integer` reads it."""
    return "" if version is None else _integer(version)


def _integer(value: int) -> str:
    return f'"{value}"' if abs(value) > EXACT_INTEGER else str(value)


def _scalar(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool) or value is None:
        return dump(value)
    return _integer(value).encode() if isinstance(value, int) else dump(value)


def dump(value: Any) -> bytes:
    """JSON."""
    return _encoder.encode(value)
