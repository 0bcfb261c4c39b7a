"""Waiting in tests: for something observable, never for a while."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

from headwater.clock import monotonic

T = TypeVar("T")


@overload
async def until(check: Callable[[], Awaitable[T]], within: float = ..., every: float = ...) -> T: ...


@overload
async def until(check: Callable[[], T], within: float = ..., every: float = ...) -> T: ...


async def until(check: Callable[[], object], within: float = 30.0, every: float = 0.02) -> object:
    """Call `check`, sync or async, every `every` seconds until it returns something true; return that.

    An exception counts as not yet. A check that is still waiting at the end is cancelled.

    Raises:
        AssertionError: nothing true `within` seconds; names the check and what it last returned or raised.
    """
    deadline = monotonic() + within
    last, error = "it was never answered", None
    while True:
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + max(deadline - monotonic(), every)
            ):
                result = check()
                value = await result if inspect.isawaitable(result) else result
        except Exception as raised:  # noqa: BLE001, RUF100 (whatever it is, it is reported at the end)
            last, error = f"it last raised {raised!r}", raised
        else:
            if value:
                return value
            last, error = f"it last returned {value!r}", None
        if monotonic() + every > deadline:
            raise AssertionError(f"not within {within:g} s: {_name(check)}; {last}") from error
        await asyncio.sleep(every)


def _name(check: Callable[..., object]) -> str:
    name = getattr(check, "__qualname__", repr(check))
    if "<lambda>" not in name:
        return str(name)
    try:
        return " ".join(inspect.getsource(check).split())
    except OSError:  # typed into a shell
        return str(name)
