"""A figure: the median of its rounds, their range, and its share of what was possible in the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import msgspec

from headwater.cli.output import Table


class Limit(msgspec.Struct, frozen=True):
    """What the servers gave in the same run without headwater."""

    name: str
    value: float
    share: float
    """The figure, as a part of it."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One result."""

    section: str
    name: str
    unit: str
    value: float
    """The median of the rounds."""
    low: float
    high: float
    rounds: int
    limits: tuple[Limit, ...] = ()
    details: dict[str, Any] = {}
    """What else was seen, by names that carry their units; None where this machine does not tell."""


class Spread(NamedTuple):
    """Milliseconds, of so many events."""

    events: int
    p50: float
    p99: float
    worst: float


def figure(
    where: tuple[str, str],
    values: Sequence[float],
    *,
    unit: str = "events/s",
    limits: Mapping[str, Sequence[float]] | None = None,
    details: dict[str, Any] | None = None,
) -> Figure:
    """Of `where` (section, name), from its rounds; limits by name, from theirs. Pure."""
    value = median(values)
    against = {name: median(rounds) for name, rounds in (limits or {}).items()}
    return Figure(
        section=where[0],
        name=where[1],
        unit=unit,
        value=value,
        low=min(values),
        high=max(values),
        rounds=len(values),
        limits=tuple(Limit(name, limit, value / limit) for name, limit in against.items()),
        details=details or {},
    )


def spread(seconds: Sequence[float]) -> Spread:
    """Of at least one duration: its middle, the one that 99 of 100 do not exceed, and the longest. Pure."""
    ordered = sorted(one * 1000 for one in seconds)
    last = len(ordered) - 1
    return Spread(len(ordered), ordered[last // 2], ordered[-(-last * 99 // 100)], ordered[last])


def spans(where: tuple[str, str], found: Spread, details: dict[str, Any] | None = None) -> list[Figure]:
    """The two figures of a spread. Pure."""
    section, name = where
    beside = {"events": found.events, "worst_ms": found.worst, **(details or {})}
    return [
        figure((section, f"{name}, p50"), [found.p50], unit="ms", details=beside),
        figure((section, f"{name}, p99"), [found.p99], unit="ms", details=beside),
    ]


def table(figures: Sequence[Figure]) -> Table:
    """For people: a line for each figure and each of its limits. Pure."""
    rows: list[tuple[object, ...]] = []
    for one in figures:
        first = (one.section, one.name, f"{number(one.value)} {one.unit}", _range(one))
        beside = "; ".join(f"{name} {_plain(value)}" for name, value in one.details.items())
        head, *others = one.limits or (None,)
        share = (f"{head.share:.0%}", f"{number(head.value)} {head.name}") if head else ("", "")
        rows.append((*first, *share, beside))
        for limit in others:
            if limit:
                rows.append(("", "", "", "", f"{limit.share:.0%}", f"{number(limit.value)} {limit.name}", ""))
    columns = ("section", "figure", "median", "min-max", "share", "of the limit in the same run", "beside")
    return Table(columns, rows)


def number(value: float) -> str:
    """With as many digits as say something. Pure."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def _range(one: Figure) -> str:
    return f"{number(one.low)}-{number(one.high)}" if one.rounds > 1 else ""


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return "/".join(map(_plain, value))
    return "-" if value is None else str(value)
