"""The event loop of a command, and what Ctrl-C does to it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from headwater import telemetry
from headwater.config import LogSettings

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _signals() -> tuple[signal.Signals, ...]:
    """Those to handle: none beside the main thread, which alone may."""
    return _SIGNALS if threading.current_thread() is threading.main_thread() else ()


def run(work: Coroutine[Any, Any, T], log: LogSettings) -> T:
    """Run to the end. Raises KeyboardInterrupt when a signal cut it short."""
    return serve(lambda _: work, log, drains=False)


def serve(
    make: Callable[[asyncio.Event], Coroutine[Any, Any, T]],
    log: LogSettings,
    *,
    say: Callable[[str], None] = print,
    in_hand: Callable[[], int] | None = None,
    drains: bool = True,
) -> T:
    """Run what `make` gives; the first signal sets its event, the next one cancels it.

    Raises KeyboardInterrupt when it was cancelled by a signal.
    """
    telemetry.configure(log)

    async def main() -> T:
        stop = asyncio.Event()
        work = asyncio.create_task(make(stop), name="command")
        loop = asyncio.get_running_loop()
        interrupted = False

        def signalled() -> None:
            nonlocal interrupted
            if drains and not stop.is_set():
                stop.set()
                count = f", {in_hand()} in hand" if in_hand else ""
                say(f"draining{count}; press Ctrl-C again to stop now")
            else:
                interrupted = True
                work.cancel()

        for number in _signals():
            loop.add_signal_handler(number, signalled)
        try:
            return await work
        except asyncio.CancelledError:
            if interrupted:
                raise KeyboardInterrupt from None
            raise
        finally:
            for number in _signals():
                loop.remove_signal_handler(number)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 (an extra)
    except ImportError:
        return None
    return uvloop.new_event_loop
