"""The correlation id of what this task is doing; every log line in it carries the id."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from contextvars import ContextVar

_CURRENT: ContextVar[str] = ContextVar("correlation", default="")
_FORM = re.compile(r"[A-Za-z0-9_-]{8,64}")


def correlation() -> str:
    """The id in force, empty when there is none."""
    return _CURRENT.get()


def new_correlation() -> str:
    """A fresh id: 24 hex digits."""
    return secrets.token_hex(12)


def acceptable(given: str) -> bool:
    """Whether an id from outside may be taken over: 8 to 64 letters, digits, `_` or `-`."""
    return _FORM.fullmatch(given) is not None


@contextlib.contextmanager
def correlated(correlation_id: str) -> Iterator[str]:
    """Everything logged inside carries this id."""
    token = _CURRENT.set(correlation_id)
    try:
        yield correlation_id
    finally:
        _CURRENT.reset(token)
