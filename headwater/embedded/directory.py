"""Private directories that one process owns at a time, and that do not stay when they are temporary.

A directory is owned by whoever holds the lock on it, so the kernel tells who is dead: no pid is ever mistaken
for another. Temporary directories of dead owners are removed by the next start.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headwater.clock import monotonic
from headwater.errors import EmbeddedUnavailable

PREFIX = "headwater-servers-"
SHORT = Path("/tmp")  # noqa: S108 (socket paths end at 104 bytes; the folder in it is private)


@contextmanager
def temporary_directory(base: Path) -> Iterator[Path]:
    """A new directory in `base`, only for us, removed at the end. First removes what killed runs left."""
    sweep(base)
    path, lock = _create_locked(base)
    try:
        yield path
    finally:
        remove(path)
        os.close(lock)


@contextmanager
def kept_directory(path: Path) -> Iterator[Path]:
    """`path`, made when missing, ours until the end, and left as it is then.

    Raises:
        EmbeddedUnavailable: another running process owns it.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock(path)
    if lock is None:
        raise EmbeddedUnavailable(
            f"servers run already in {path}",
            hint="Stop the other headwater there, or name another directory.",
        )
    try:
        stop_leftovers(path)
        yield path.resolve()
    finally:
        os.close(lock)


def sweep(base: Path) -> None:
    """Remove the temporary directories in `base` whose owner is dead, and stop what still runs in them."""
    for path in base.glob(f"{PREFIX}*"):
        if _is_ours(path) and (lock := _lock(path)) is not None:
            stop_leftovers(path)
            remove(path)
            os.close(lock)


def remove(path: Path, within: float = 5.0) -> None:
    """Remove a tree, even while a dying server still writes into it."""
    until = monotonic() + within
    while path.exists():
        try:
            shutil.rmtree(path)
        except OSError:
            if monotonic() > until:
                raise
            time.sleep(0.02)


def secret(path: Path) -> str:
    """The password kept in `path`, mode 0600; a new one when there is none."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text()


def note_process(directory: Path, name: str, pid: int, data: Path) -> None:
    """Remember which process serves `data`, for `stop_leftovers`."""
    (directory / f"{name}.pid").write_text(f"{pid} {data}")


def forget_process(directory: Path, name: str) -> None:
    """Take back `note_process`: it has ended."""
    (directory / f"{name}.pid").unlink(missing_ok=True)


def stop_leftovers(directory: Path) -> None:
    """End servers of a killed owner of `directory`: where no kernel does it, or has not done it yet."""
    for note in directory.glob("*.pid"):
        number, _, data = note.read_text().partition(" ")
        if data and not _stopped(
            int(number), data, signal.SIGINT, within=5
        ):  # fast for Postgres, clean for both
            _stopped(int(number), data, signal.SIGKILL, within=5)
        note.unlink()


def _stopped(pid: int, data: str, number: signal.Signals, within: float) -> bool:
    until = monotonic() + within
    signalled = False
    while data in command_line(pid):
        if not signalled:
            os.kill(pid, number)
            signalled = True
        if monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _create_locked(base: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base)).resolve()
        lock = _lock(path)
        if lock is not None:
            return path, lock
        # Another start swept it away before we held it.


def _lock(path: Path) -> int | None:
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(directory)
        return None
    if not path.exists():
        os.close(directory)
        return None
    return directory


def _is_ours(path: Path) -> bool:
    try:
        return not path.is_symlink() and path.lstat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def command_line(pid: int) -> str:
    """What a process was started with, in one line; empty when there is no such process."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(listing, capture_output=True, text=True, check=False).stdout  # noqa: S603 (fixed)
