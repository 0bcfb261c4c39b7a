"""A column as one text: taken apart, it is the same column; what can not be one text is never made one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery.columns import NULL, SEPARATOR, by_value, packer, parameter, text
from tests.strategies import texts

awkward = st.sampled_from(["", SEPARATOR, NULL, f"a{SEPARATOR}b", f"{NULL}x", "null", "NULL", "\\", "{}"])
columns = st.lists(texts | awkward | st.none(), min_size=1, max_size=8)


def taken_apart(packed: str) -> list[str | None]:
    """What `string_to_array` makes of it."""
    return [None if part == NULL else part for part in packed.split(SEPARATOR)] if packed else []


@given(columns)
def test_a_packed_column_is_taken_apart_into_the_same_values(column: list[str | None]) -> None:
    packed = text(column)

    assert packed is None or taken_apart(packed) == column


@given(st.lists(texts.filter(lambda one: one.isprintable() and one != "") | st.none(), min_size=1))
def test_whatever_can_be_printed_is_packed(column: list[str | None]) -> None:
    assert text(column) is not None


@pytest.mark.parametrize(
    "column", [[""], [SEPARATOR], [NULL, None], ["a", f"{NULL}"], [1, "a"], [b"a"], [Decimal(1)]]
)
def test_what_a_text_can_not_carry_is_left_to_arrays(column: Sequence[Any]) -> None:
    assert text(column) is None


@pytest.mark.parametrize(
    ("kind", "column", "packed"),
    [
        ("integer", [1, None, -7], ["1", None, "-7"]),
        ("bigint", [2**63 - 1], ["9223372036854775807"]),
        ("boolean", [True, False], ["True", "False"]),
        ("double precision", [0.1, float("inf")], ["0.1", "inf"]),
        (
            "timestamp with time zone",
            [datetime(2026, 1, 2, 3, 4, 5, 6, UTC)],
            ["2026-01-02T03:04:05.000006+00:00"],
        ),
        ("uuid", ["a", None], ["a", None]),
    ],
)
def test_values_are_spelled_for_their_columns_type(
    kind: str, column: list[Any], packed: list[str | None]
) -> None:
    assert taken_apart(packer(kind)(column)) == packed


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *[("integer", value) for value in (1.5, "1", Decimal(1))],
        *[("boolean", value) for value in (1, "t")],
        *[("double precision", value) for value in (1, "1")],
        ("timestamp with time zone", datetime(2026, 1, 2)),  # noqa: DTZ001 (without a zone is the case)
        ("timestamp with time zone", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_value_of_another_type_than_its_column_is_left_to_asyncpg(kind: str, value: Any) -> None:
    assert packer(kind)([value]) is None


@pytest.mark.parametrize("kind", ["date", "bytea", "interval", "mood"])
def test_other_types_travel_as_arrays(kind: str) -> None:
    column = [object()]

    assert packer(kind) is by_value
    assert packer(kind)(column) is column
    assert parameter(9, kind) == f"$9::{kind}[]"
