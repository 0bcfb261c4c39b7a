"""`headwater demo` as a process: it tells its story, proves it, and leaves nothing behind (OP1)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE, run
from types import MappingProxyType
from typing import Any, NamedTuple

import aiohttp
import pytest_asyncio

from headwater.broker import Broker
from headwater.database import connect
from headwater.testing import until
from tests.system.running import ROOT

NOBODY = 65534
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
SUBJECTS = {
    "crm": ["organizations", "users", "roles", "role_assignments", "assignments", "credits"],
    "hr": ["assignments", "credits"],
}


class Account(NamedTuple):
    """Who runs the demo."""

    prefix: tuple[str, ...] = ()
    options: Mapping[str, Any] = MappingProxyType({})

    def can_start(self) -> bool:
        """Whether it reaches this interpreter and the project."""
        command = [*self.prefix, sys.executable, "-c", "import headwater, backfill"]
        try:
            done = run(command, cwd=ROOT, env=environment("/"), stderr=DEVNULL, check=False, **self.options)
        except OSError:
            return False
        return done.returncode == 0


@cache
def account() -> Account:
    """An ordinary one also where tests run as root; root only where neither way is open."""
    if os.geteuid() != 0:
        return Account()
    nobody = Account(options={"user": NOBODY, "group": NOBODY, "extra_groups": []})
    inside = Account(("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"))
    return next((one for one in (nobody, inside) if one.can_start()), Account())


def environment(place: str) -> dict[str, str]:
    """Variables of the process: nothing configured, and `place` for what is temporary."""
    return {**CLEAN, "TMPDIR": place, "HOME": place, "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass
class Demo:
    """A demo that runs."""

    process: asyncio.subprocess.Process
    place: Path
    """Where it may put what is temporary."""

    async def line(self, start: str) -> str:
        """The next line of its notes that begins so."""
        assert self.process.stderr is not None
        seen = []
        async with asyncio.timeout(60):
            while found := (await self.process.stderr.readline()).decode():
                if found.startswith(start):
                    return found.rstrip("\n")
                seen.append(found)
        raise AssertionError(f"no line began with {start!r}: {''.join(seen)}")

    async def ended(self) -> tuple[int, str, str]:
        """Exit code, standard output, the rest of standard error."""
        async with asyncio.timeout(60):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Path]:
    """A short temporary directory that belongs to whoever runs the demo."""
    with tempfile.TemporaryDirectory(prefix="hw-") as name:
        if account().options:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@asynccontextmanager
async def demo(place: Path, *arguments: str) -> AsyncIterator[Demo]:
    """`headwater demo`, ended at the latest with the block."""
    process = await asyncio.create_subprocess_exec(
        *(*account().prefix, sys.executable, "-m", "headwater", "demo", *arguments),
        cwd=ROOT,
        env=environment(str(place)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        **account().options,
    )
    try:
        yield Demo(process, place)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def processes(place: Path) -> list[str]:
    """Command lines that name the directory."""
    listed = run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(place) in line]


def left(paths: list[str]) -> list[str]:
    """Those that are still there."""
    return [one for one in paths if Path(one).exists()]


async def assert_nothing_left(place: Path) -> None:
    """No process and no file."""
    await until(lambda: not processes(place))
    assert os.listdir(place) == []


def compared(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Subjects by application."""
    found: dict[str, list[str]] = {}
    for row in report["rows"]:
        found.setdefault(row["application"], []).append(row["subject"])
    return found


async def test_the_demo_proves_that_every_application_agrees_and_leaves_nothing(place: Path) -> None:
    async with demo(place, "--json", "--seconds", "0.5") as playing:
        code, out, err = await playing.ended()

    assert code == 0, err
    report = json.loads(out)
    assert out.count("\n") <= 1
    assert (report["schema"], report["agree"]) == ("headwater.demo.v1", True)
    assert compared(report) == SUBJECTS
    assert all(row["agree"] and row["source"] == row["applied"] for row in report["rows"])
    assert report["legs"]["setUp"]["events"] == 42
    assert report["legs"]["backfill"]["states"] == ["verified"]
    assert report["legs"]["backfill"]["rows"] >= 20
    assert report["legs"]["live"]["changes"] > 0
    assert report["legs"]["live"]["saidToApplied"]["events"] > 0
    await assert_nothing_left(place)


async def test_ctrl_c_in_the_middle_ends_it_without_a_report_and_leaves_nothing(place: Path) -> None:
    async with demo(place, "--json", "--seconds", "600") as playing:
        await playing.line("day 1 ")
        assert len(processes(place)) >= 2
        playing.interrupt()
        code, out, err = await playing.ended()

    assert (code, out) == (130, "")
    assert "Traceback" not in err
    await assert_nothing_left(place)


async def test_what_is_kept_can_be_looked_at_as_it_says_until_ctrl_c(place: Path) -> None:
    async with demo(place, "--keep", "--seconds", "0.2") as playing:
        admin = await playing.line("admin ")
        redis, organizations = await playing.line("redis-cli "), await playing.line("redis-cli ")
        source, crm = await playing.line("psql "), await playing.line("psql ")
        await playing.line("Ctrl-C ")
        sockets = [
            Path(one) for line in processes(place) for one in re.findall(r"unix_socket_d\S+=(/\S+)", line)
        ]
        assert sockets

        await assert_admin_answers(admin)
        assert b"credit.allocated" in await redis_cli(redis)
        assert b"org.created" in await redis_cli(organizations)
        assert int(await psql(source, "SELECT count(*) FROM entities")) >= 5
        assert int(await psql(crm, "SELECT count(*) FROM crm.organizations")) >= 5

        playing.interrupt()
        code, out, err = await playing.ended()

    assert (code, "agree" in out) == (0, True)
    assert "Traceback" not in err
    await assert_nothing_left(place)
    assert left(sockets) == []


async def assert_admin_answers(line: str) -> None:
    """The printed address opens with the printed key."""
    found = re.fullmatch(r"admin +(\S+) +Authorization: (Bearer \S+)", line)
    assert found is not None, line
    async with aiohttp.ClientSession(headers={"Authorization": found[2]}) as session:
        async with session.get(f"{found[1]}/readyz?verbose") as answer:
            ready = await answer.json(content_type=None)
            assert (answer.status, ready["status"]) == (200, "pass"), ready
        async with session.get(f"{found[1]}/metrics") as answer:
            assert "headwater_" in await answer.text()


async def redis_cli(line: str) -> bytes:
    """What the printed line shows; without a `redis-cli` here the same command is sent without it."""
    command = line.removeprefix("redis-cli").strip()
    if shutil.which("redis-cli"):
        return (await asyncio.to_thread(run, command, shell=True, capture_output=True, check=True)).stdout  # noqa: S604
    words = shlex.split(command)
    password, port = words[0].removeprefix("REDISCLI_AUTH="), words[3]
    assert words[1:3] == ["redis-cli", "-p"]
    broker = Broker(f"redis://:{password}@127.0.0.1:{port}")
    try:
        return repr(await broker.execute(*words[4:])).encode()
    finally:
        await broker.close()


async def psql(line: str, query: str) -> str:
    """What the printed line answers to a query; without a `psql` here the same address is asked."""
    words = shlex.split(line.removeprefix("psql"))
    assert words[0] == "psql"
    if shutil.which("psql"):
        done = await asyncio.to_thread(
            run, [*words, "-Atc", query], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()
    connection = await connect(words[1])
    try:
        return str(await connection.fetchval(query))
    finally:
        await connection.close()
