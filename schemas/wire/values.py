"""Values as the older writers left them, made into what our events expect. Never trusting, never guessing.

A value may be quoted once more than it should be (strings that carry their quotes, JSON inside
JSON), numbers and booleans may be texts, `undefined` may stand for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from headwater.errors import EventError

S = TypeVar("S", bound=msgspec.Struct)

LAYERS = 4
"""How often a value may have been encoded: once rightly, and the mistakes seen, with one to spare."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MISSING = frozenset(["", "undefined", "null"])
UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a number of a sane size ({text[:40]})") from None


_decoder = msgspec.json.Decoder(float_hook=_exact)


def text(value: bytes) -> str | None:
    """A scalar field without the quotes it may carry; None for nothing. Raises UnicodeDecodeError."""
    found = value.decode()
    for _ in range(LAYERS):
        if not (len(found) > 1 and found[0] == found[-1] == '"'):
            break
        found = _decoder.decode(found)  # quoted as a whole, so JSON text: never another kind
    return None if found in MISSING else found


def json_object(value: bytes | None, name: str) -> dict[str, Any]:
    """A field that holds a JSON object, encoded once or more often; empty for nothing."""
    found: Any = "" if value is None else value.decode()
    for _ in range(LAYERS):
        if not isinstance(found, str) or found in MISSING:
            break
        found = _decoder.decode(found)
    if found is None or found in ("", "undefined", "null"):
        return {}
    if not isinstance(found, dict):
        raise EventError("malformed", f"{name!r} is no JSON object")
    return found


def instant(value: Any) -> datetime | None:
    """A time: ISO 8601, without zone taken as UTC, or milliseconds since 1970. Raises ValueError."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    if isinstance(value, datetime) or (isinstance(value, str) and not value.strip("- ").isdecimal()):
        moment = msgspec.convert(value, datetime)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(value, str | int | float | Decimal):
        return EPOCH + timedelta(milliseconds=int(value))
    raise ValueError(f"not a time ({type(value).__name__})")


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def permissions(value: Any) -> list[str]:
    """`app.module.op` each, sorted, from a flat list, a nested object, or either as JSON text."""
    for _ in range(LAYERS):
        if not isinstance(value, str) or not value.strip().startswith(("[", "{", '"')):
            break
        value = _decoder.decode(value)
    return sorted(set(_permissions("", value)))


def _permissions(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _permissions(f"{path}.{name}" if path else name, part)
    elif isinstance(value, list):
        for part in value:
            yield from _permissions(path, part)
    elif isinstance(value, str) and value:
        yield f"{path}.{value}" if path else value
    elif value is True and path:
        yield path
    elif value:
        raise EventError("malformed", f"permissions are names, not {type(value).__name__}")


def _plain_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | Decimal) else value


def _name(value: Any) -> Any:
    found = _plain_text(value)
    if isinstance(found, str) and UUID.fullmatch(found):
        return found.lower()
    return None if isinstance(found, str) and found in MISSING else found


def _number(value: Any) -> Any:
    return value.strip() or None if isinstance(value, str) else value


def free(value: Any) -> Any:
    """Free-form JSON, taken out of the text it may be in, with numbers that any JSON library can write."""
    found = _decoder.decode(value) if isinstance(value, str) and value[:1] in {"{", "["} else value
    return msgspec.json.decode(msgspec.json.Encoder(decimal_format="number").encode(found))


def _as_it_is(value: Any) -> Any:
    return value


def _fitter(kind: inspect.Type) -> Callable[[Any], Any]:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for one in kinds:
        match one:
            case inspect.DateTimeType():
                return instant
            case inspect.DecimalType() | inspect.IntType() | inspect.BoolType():
                return _number
            case inspect.StrType(min_length=int()):
                return _name
            case inspect.StrType():
                return _plain_text
            case inspect.AnyType() | inspect.DictType() | inspect.VarTupleType():
                return free
    return _as_it_is


@cache
def _fitters(struct: type[msgspec.Struct]) -> dict[str, Callable[[Any], Any]]:
    described = inspect.type_info(struct)
    fields = described.fields if isinstance(described, inspect.StructType) else ()
    return {field.encode_name: _fitter(field.type) for field in fields}


def fit(struct: type[S], values: dict[str, Any]) -> S:
    """A struct from loosely typed values by wire name; unknown ones are ignored.

    Raises msgspec.ValidationError or ValueError when something needed is missing or does not fit.
    """
    fitted = {}
    for name, fitter in _fitters(struct).items():
        value = values.get(name)
        found = None if value is None else fitter(value)
        if found is not None:
            fitted[name] = found
    return msgspec.convert(fitted, struct, strict=False)
