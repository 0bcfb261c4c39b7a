"""Rows with times that Postgres holds and Python can not: the year 20225, or one before Christ.

The driver gives up a whole page for one of them. Such a page is read once more with those times left out and
named, so that only their rows can not be said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from headwater.database import Row

FAR = "headwater_far"
"""Column that names what was left out of a row; null or absent: nothing."""
_TIMES = {"timestamp": "timestamp", "timestamptz": "timestamptz", "date": "timestamp"}


async def rows(
    fetch: Callable[[str], Awaitable[list[Row]]],
    query: str,
    types: Callable[[], Awaitable[Mapping[str, str]]],
) -> list[Row]:
    """What a query gives; `types`: of its columns, asked for only where a time is out of reach."""
    try:
        return await fetch(query)
    except OverflowError:
        return await fetch(within(query, await types()))


def within(query: str, types: Mapping[str, str]) -> str:
    """The same rows in the same order, times out of reach null and named in the column FAR. Pure."""
    far = {name: _far(name, _TIMES[kind]) for name, kind in types.items() if kind in _TIMES}
    columns = [
        f"CASE WHEN {far[name]} THEN NULL ELSE p.{name} END AS {name}" if name in far else f"p.{name}"
        for name in types
    ]
    named = ", ".join(f"CASE WHEN {condition} THEN '{name}' END" for name, condition in far.items())
    columns.append(f"nullif(concat_ws(', ', {named or 'NULL'}), '') AS {FAR}")
    return f"SELECT {', '.join(columns)} FROM (\n{query}\n) AS p"


def check(row: Row) -> None:
    """Raises ValueError for a row with a time out of reach."""
    if far := row.get(FAR):
        raise ValueError(f"{far} lies outside the years 1 to 9999")


def _far(name: str, kind: str) -> str:
    at, zone = f"p.{name}::{kind}", "+00" if kind == "timestamptz" else ""
    return (
        f"isfinite({at}) AND ({at} < '0001-01-01 00:00{zone}'::{kind} "
        f"OR {at} >= '10000-01-01 00:00{zone}'::{kind})"
    )
