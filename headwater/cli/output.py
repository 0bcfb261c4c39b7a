"""What a command prints: its result to stdout, everything else to stderr.

A result is for people (aligned text; a table with lines only on a terminal) or, with `--json`, one
object that names its own shape: `{"schema": "headwater.streams.status.v1", …}`, times in UTC,
durations in seconds. Unknown is `-` for people and `null` in JSON, never 0.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from headwater import clock

_QUIET_PROGRESS = 10.0


@dataclass
class Table:
    """Rows under headings; a heading names the unit: `lag (s)`. Numbers stand right-aligned."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""

    def plain(self) -> str:
        """Aligned text without lines."""
        cells = [[cell(value) for value in row] for row in self.rows]
        widths = [max([len(head), *(len(row[at]) for row in cells)]) for at, head in enumerate(self.columns)]
        right = [self._numeric(at) for at in range(len(self.columns))]
        lines = [
            "  ".join(
                text.rjust(width) if to_right else text.ljust(width)
                for text, width, to_right in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in [list(self.columns), *cells]
        ]
        return "\n".join(([self.title] if self.title else []) + lines)

    def draw(self) -> None:
        """Print with lines, on a terminal."""
        from rich.console import Console  # noqa: PLC0415 (0.1 s to import; only where it is seen)
        from rich.table import Table as Drawn  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        drawn = Drawn(title=self.title or None, title_justify="left")
        for at, head in enumerate(self.columns):
            drawn.add_column(Text(head), justify="right" if self._numeric(at) else "left")
        for row in self.rows:
            drawn.add_row(*(Text(cell(value)) for value in row))
        Console().print(drawn)

    def _numeric(self, at: int) -> bool:
        known = [row[at] for row in self.rows if row[at] is not None]
        return bool(known) and all(
            isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in known
        )


def cell(value: Any) -> str:
    """A value for people: `-` for unknown, times in UTC, control signs made visible."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, datetime):
        return utc(value)
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))


def utc(value: datetime) -> str:
    """ISO 8601 in UTC, `Z` at its end."""
    return clock.stamp(value, precision="auto")


@dataclass
class Output:
    """Where one command prints."""

    json: bool = False
    quiet: bool = False
    color: str = "auto"

    def result(self, name: str, data: Mapping[str, Any], *, text: Table | str | None = None) -> None:
        """Print what was asked for: `data` under the schema `headwater.<name>.v1`, or `text`."""
        if self.json:
            sys.stdout.write(as_json({"schema": f"headwater.{name}.v1", **data}))
        elif isinstance(text, Table) and sys.stdout.isatty():
            text.draw()
        elif text is not None:
            click.echo(text.plain() if isinstance(text, Table) else text, color=self._colored)
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say something beside the result, on stderr; not with `-q`."""
        if not self.quiet:
            click.echo(text, err=True, color=self._colored)

    @contextlib.contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Progress]:
        """Show how far a long work is: a bar on a terminal, else a line each 10 s; not with `-q`."""
        if self.quiet:
            yield Progress(label, total)
        elif not sys.stderr.isatty():
            yield _Lines(label, total, out=self)
        else:
            with _bar(label, total) as bar:
                yield bar

    @property
    def _colored(self) -> bool | None:
        return {"always": True, "never": False}.get(self.color)


@dataclass
class Progress:
    """How far a work is; this one shows nothing."""

    label: str
    total: int | None
    done: int = 0

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.update(self.done + count)

    def update(self, done: int, total: int | None = None) -> None:
        """So many are done, of so many where that is known only now."""
        self.done = done
        self.total = total if total is not None else self.total
        self.show()

    def show(self) -> None:
        """Bring what is seen up to date."""


@dataclass
class _Lines(Progress):
    out: Output = field(default_factory=Output)
    shown: float = field(default_factory=time.monotonic)

    def show(self) -> None:
        if time.monotonic() - self.shown >= _QUIET_PROGRESS:
            self.shown = time.monotonic()
            self.out.note(
                f"{self.label}: {self.done}" + (f" of {self.total}" if self.total is not None else "")
            )


@contextlib.contextmanager
def _bar(label: str, total: int | None) -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415 (0.1 s to import; only where it is seen)
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total)

        class Bar(Progress):
            def show(self) -> None:
                bars.update(task, completed=self.done, total=self.total)

        yield Bar(label, total)


def as_json(data: Mapping[str, Any]) -> str:
    """One line of JSON; indented on a terminal. Times in UTC, decimals and secrets as text."""
    import orjson  # noqa: PLC0415 (help prints none)

    option = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    if sys.stdout.isatty():
        option |= orjson.OPT_INDENT_2
    return orjson.dumps(data, default=_builtin, option=option).decode()


def _builtin(value: Any) -> Any:
    import msgspec  # noqa: PLC0415 (help prints none)

    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
