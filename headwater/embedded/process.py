"""One child process that outlives Ctrl-C but not us.

It has a session of its own, so that a Ctrl-C meant for us does not end it before we have drained; and on
Linux the kernel signals it when we die, however we die.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from headwater.clock import monotonic
from headwater.embedded.account import Account

POLL = 0.005
"""Seconds between two looks at a process or a port."""

PR_SET_PDEATHSIG = 1


class Process:
    """A running server.

    Start it on the main thread: the kernel's signal comes when the *thread* that forked ends.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path, account: Account, last_signal: signal.Signals
    ) -> None:
        self._log = log
        log.touch(mode=0o600)
        self._log_start = log.stat().st_size
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 (a binary we chose)
                [*account.prefix, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",  # ours may be closed to another account
                env=_environment(),
                start_new_session=True,
                preexec_fn=_signalled_at_our_death(last_signal),  # noqa: PLW1509 (loads and locks nothing)
                **account.popen_options(),
            )

    @property
    def pid(self) -> int:
        """Process id; of a process that has ended, too."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended already."""
        self._popen.send_signal(number)

    async def exited(self, within: float) -> int:
        """The exit code. Raises TimeoutError after `within` seconds."""
        until = monotonic() + within
        while (code := self._popen.poll()) is None:
            if monotonic() > until:
                raise TimeoutError(f"process {self.pid} still runs after {within:g} s")
            await asyncio.sleep(POLL)
        return code

    def finish(self, number: signal.Signals, within: float) -> None:
        """Signal, wait, and kill it after `within` seconds.

        Does not give the loop away, so that a cancel can not cut it short.
        """
        self._popen.send_signal(number)
        try:
            self._popen.wait(within)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def last_lines(self, count: int = 8) -> str:
        """What this process last wrote to its log."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").strip().splitlines()[-count:])


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT, PGOPTIONS and a broken locale of the caller must not reach our servers.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _signalled_at_our_death(number: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: the child may not load anything
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # we died between the fork and this line
            os._exit(1)

    return ask_the_kernel
