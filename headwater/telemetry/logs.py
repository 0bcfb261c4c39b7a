"""Log lines: events with fixed names and fields, never a password, never a value of a row.

    log = logger(__name__)
    log.warning("delivery.parked", group="crm", entry="1-0", reason="unknown event")

Lines go through stdlib logging, so a host that embeds headwater decides what becomes of them. A
process of ours calls `configure` once: JSON lines to stderr, or text where a person looks on. Lines
of other libraries take the same way.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import orjson
import structlog

from headwater.clock import stamp
from headwater.config import LogSettings, Secret, masked
from headwater.telemetry.context import correlation

_QUOTED = re.compile(r'".*"', re.DOTALL)
_ARGUMENT = re.compile(r"(query argument \$\d+).*", re.DOTALL)
_LONGEST = 1000

Fields = MutableMapping[str, Any]


class Line:
    """An event and its fields, as one log record; plain text for hosts that format it themselves."""

    __slots__ = ("event", "fields")

    def __init__(self, event: str, fields: Mapping[str, Any]) -> None:
        self.event, self.fields = event, fields

    def __str__(self) -> str:
        return " ".join([self.event, *(f"{name}={_clean(value)}" for name, value in self.fields.items())])


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module. Below its level a call costs no more than the comparison."""
    bound = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _to_record],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", bound)


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every line of this process to `stream`, stderr by default. Calling again replaces that."""
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_spread],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _cleaned,
                _for_people(colors=out.isatty()) if console else _as_json,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # of other libraries only what a person may want to see
    logging.getLogger("headwater").setLevel(settings.level.upper())
    logging.captureWarnings(True)


def safe_text(error: BaseException) -> str:
    """What an error says, on one line, without the values of rows and the passwords of URLs.

    Postgres puts rows into `DETAIL` and, for data errors (class 22), values into the text itself.
    """
    text = str(error.args[0]) if hasattr(error, "sqlstate") and error.args else str(error)
    if str(getattr(error, "sqlstate", None) or "").startswith("22"):
        text = _QUOTED.sub('"…"', text)
    text = _ARGUMENT.sub(r"\1", text.partition("\nDETAIL:")[0])
    return masked(" ".join(text.split()))[:_LONGEST] or type(error).__name__


def safe_trace(error: BaseException) -> str:
    """The traceback of an error and of those that led to it; their texts by `safe_text`."""
    return "".join(_trace(error, set())).rstrip()


def _trace(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _trace(earlier, seen)
        yield "which led to:\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}: {safe_text(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if id(inner) not in seen:
                yield "of which:\n"
                yield from _trace(inner, seen)


def _to_record(_: Any, __: str, fields: Fields) -> tuple[tuple[Line], dict[str, Any]]:
    details = {name: fields.pop(name) for name in ("exc_info", "stack_info") if name in fields}
    return (Line(fields.pop("event"), fields),), details


def _spread(_: Any, level: str, fields: Fields) -> Fields:
    record = cast("logging.LogRecord", fields["_record"])
    when = stamp(datetime.fromtimestamp(record.created, UTC))
    line: Fields = {"at": when, "level": level, "event": fields["event"]}
    if isinstance(record.msg, Line):
        line.update({"event": record.msg.event, **record.msg.fields})
    line.setdefault("logger", record.name)
    if record.levelno < logging.ERROR and not record.name.startswith("headwater"):
        line["_brief"] = True  # asyncpg's pool warns with a page of traceback at each try of an outage
    if correlation():
        line.setdefault("correlation_id", correlation())
    return {**line, **{name: value for name, value in fields.items() if name not in line}}


def _cleaned(_: Any, __: str, fields: Fields) -> Fields:
    happened = fields.pop("exc_info", None)
    error = happened[1] if isinstance(happened, tuple) else happened
    brief = fields.pop("_brief", False)
    cleaned = {name: _clean(value) for name, value in fields.items()}
    if isinstance(error, BaseException):
        cleaned["error"] = f"{type(error).__qualname__}: {safe_text(error)}"
        if not brief:
            cleaned["exception"] = safe_trace(error)
    return cleaned


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, BaseException):
        return safe_text(value)
    if isinstance(value, Mapping):
        return {str(name): _clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    return str(value) if isinstance(value, Secret) else value


def _as_json(_: Any, __: str, fields: Fields) -> str:
    try:
        return orjson.dumps(fields, default=_word).decode()
    except TypeError:  # a lone surrogate or a number beyond 64 bits; a line is never lost for that
        return json.dumps(fields, default=_word)


def _word(value: Any) -> str:
    return masked(str(value))


def _for_people(*, colors: bool) -> Any:
    render = structlog.dev.ConsoleRenderer(
        colors=colors, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
    )

    def one_line(source: Any, level: str, fields: Fields) -> str:
        for name, value in fields.items():
            if isinstance(value, str) and name != "exception":
                fields[name] = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value)
        return str(render(source, level, fields))

    return one_line
