"""A batch's columns as one text each, which Postgres takes apart: a tenth of the cost of arrays.

asyncpg asks of every element of an array whether it is an array itself. A text is joined here and
taken apart there (`string_to_array`), both in C.

Always holds: what `pack` gives, Postgres takes apart into the same values. Where it would not, or
where a value is of another type than its column, `pack` gives nothing, and arrays carry the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import MAXYEAR, datetime
from functools import partial
from typing import Any

SEPARATOR = "\x1f"
NULL = "\x1e"
AS_TEXT = {"uuid", "json", "jsonb", "numeric", "character varying", "character", "name", "text"}
"""Types whose values are text here and cast by Postgres: quicker than encoding objects."""

Spell = Callable[[Any], str]
"""A value as Postgres reads it; raises TypeError for one of another type than its column."""


def pack(column: Sequence[Any], spell: Spell | None) -> str | None:
    """One text; None for a column that can not be one. `spell`: how its values are written, None for text."""
    nulls = column.count(None)
    try:
        if nulls:
            text = SEPARATOR.join(
                [NULL if value is None else spell(value) if spell else value for value in column]
            )
        else:
            text = SEPARATOR.join(map(spell, column) if spell else column)
    except TypeError:
        return None
    # An empty text would be taken apart into no value at all.
    whole = text and text.count(SEPARATOR) == len(column) - 1 and text.count(NULL) == nulls
    return text if whole else None


def _moment(value: datetime) -> str:
    if value.tzinfo is None or value.year == MAXYEAR:  # asyncpg has its own view of these
        raise TypeError("not a plain moment")
    return value.isoformat()


_SPELLED: dict[str, Spell] = {
    "smallint": int.__repr__,
    "integer": int.__repr__,
    "bigint": int.__repr__,
    "boolean": bool.__repr__,
    "double precision": float.__repr__,
    "real": float.__repr__,
    "timestamp with time zone": _moment,
}


def by_value(column: Sequence[Any]) -> Any:
    """A column whose type only an array can carry."""
    return column


Packer = Callable[[Sequence[Any]], Any]
"""What a column travels as; None when it can not."""

text: Packer = partial(pack, spell=None)
integers: Packer = partial(pack, spell=int.__repr__)
booleans: Packer = partial(pack, spell=bool.__repr__)


def packer(column_type: str) -> Packer:
    """How the values of a column travel."""
    if column_type in AS_TEXT:
        return text
    spell = _SPELLED.get(column_type)
    return partial(pack, spell=spell) if spell else by_value


def parameter(place: int, column_type: str) -> str:
    """SQL that makes an array of what a packer made."""
    return f"${place}::{column_type}[]" if packer(column_type) is by_value else taken_apart(place)


def taken_apart(place: int) -> str:
    """SQL that makes an array of a text."""
    return f"string_to_array(${place}, E'\\x1f', E'\\x1e')"
