"""Kinds of options that several commands take."""

from __future__ import annotations

import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from headwater import clock
from headwater.config import duration


class Since(click.ParamType[datetime]):
    """A time with its zone (ISO 8601), or how long ago: 15m, 2h, 7d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The aware instant."""
        if isinstance(value, datetime):
            return value
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            return self._ago(value, param, ctx)
        if when.tzinfo is None:
            self.fail(f"{value!r} has no zone: write {value}Z", param, ctx)
        return when

    def _ago(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return clock.now() - timedelta(seconds=duration(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no ISO 8601 time, and no duration like 15m", param, ctx)


class Duration(click.ParamType[float]):
    """How long, in seconds: 500ms, 30s, 5m, or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, not negative."""
        try:
            seconds = duration(str(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no duration like 30s or 5m", param, ctx)
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is not a length of time", param, ctx)
        return seconds


class JobId(click.ParamType[str]):
    """The id of a backfill job."""

    name = "job"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id as it is stored."""
        try:
            return str(uuid.UUID(value))
        except ValueError:
            self.fail(f"{value!r} is no job id (a UUID)", param, ctx)


def text_of(value: str) -> str:
    """What an option says: itself, the file that `@` names, or stdin for `-`. Raises UsageError."""
    if value == "-":
        return sys.stdin.read()
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{value[1:]} can not be read ({error})") from None


def confirmed(question: str, *, yes: bool) -> None:
    """Ask on a terminal; elsewhere `--yes` is the answer. Raises Abort, UsageError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to answer: say --yes")
    click.confirm(question, abort=True, err=True)
