"""What others install: one package, complete, that stands beside a host's own `schemas` and `consumers`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from headwater.broker import Broker
from headwater.database import connect
from headwater.database.migrate import SOURCE, migrate
from headwater.testing import RunningServers

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

HOST = {
    "schemas/__init__.py": '''
"""The host's own package, of a name that headwater's system has too."""
from typing import ClassVar

from headwater import Event, Subject


class ParcelSent(Event, frozen=True, kw_only=True):
    """A parcel left."""

    type: ClassVar[str] = "parcel.sent"
    subject: ClassVar[Subject] = Subject("parcels")

    parcel_id: str
    weight: int = 1

    @property
    def key(self) -> str:
        return self.parcel_id
''',
    "consumers/__init__.py": '"""The host\'s own: nothing of headwater."""\nWHOSE = "the host\'s"\n',
    "main.py": """
import asyncio
import json
import sys

import consumers
import headwater
import schemas
from headwater import Broker, Catalogue, Codec, Database, DirectProducer
from headwater import Group, Outgoing, Producer, Registry, Stream
from schemas import ParcelSent

redis_url, postgres_url, prefix = sys.argv[1:]
codec = Codec(Registry([ParcelSent]))
catalogue = Catalogue(
    [Stream(name="parcels", events=(ParcelSent,))],
    [Group(app="depot", name="depot-group", streams=("parcels",))],
).with_prefix(prefix)


async def nobody(tenants):
    return {}


async def main():
    broker = Broker(redis_url)
    direct = DirectProducer(Outgoing(codec, catalogue), broker, enabled=nobody, source="host")
    said = await direct.publish(ParcelSent(parcel_id="p1"), tenant="t1", version=1)
    await direct.close()
    await broker.close()

    database = await Database.open(postgres_url, size=1)
    async with database.transaction() as tx:
        producer = Producer(codec, source="host")
        receipt = await producer.publish(tx, ParcelSent(parcel_id="p2", weight=3), tenant="t1", version=2)
    await database.close()

    print(json.dumps({
        "schemas": schemas.__file__, "consumers": consumers.WHOSE, "headwater": headwater.__file__,
        "outcome": said.outcome, "error": said.error, "entries": said.entries, "receipt": receipt.event_id,
    }))


asyncio.run(main())
""",
}


def run(*command: str | Path, cwd: Path = ROOT, fails: bool = False) -> subprocess.CompletedProcess[str]:
    """Run without any setting of ours in the environment."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HEADWATER_", "PYTHON"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(wheel, sdist), built with what the lock installed: no network."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", out)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binaries of an environment that holds the wheel, and what it needs as the lock names it."""
    home = tmp_path_factory.mktemp("host")
    python = home / "venv/bin/python"
    wanted = home / "requirements.txt"
    export = ("--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--quiet")
    wanted.write_text(run(UV, "export", *export).stdout, encoding="utf-8")
    run(UV, "venv", "--quiet", "--python", sys.executable, home / "venv")
    run(UV, "pip", "install", "--quiet", "--python", python, "--requirement", wanted)
    run(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", built[0])
    return python.parent


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A project of somebody else."""
    for name, text in HOST.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def source_files() -> set[str]:
    """Every file of the engine that belongs into a package."""
    return {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "headwater").rglob("*")
        if file.is_file() and not any(part.startswith((".", "__pycache__")) for part in file.parts)
    }


def test_the_wheel_contains_the_whole_engine_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(built[0]).namelist())
    engine = {name for name in names if name.startswith("headwater/")}

    assert {name.split("/")[0] for name in names - engine} == {built[0].name.rsplit("-", 3)[0] + ".dist-info"}
    assert engine == source_files()
    assert "headwater/py.typed" in engine
    assert {"headwater/database/migrations/source/0001_versions.sql"} < engine


def test_the_sdist_contains_the_engine_and_what_builds_it(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    beside = {name for name in names if not name.startswith("headwater/")}

    assert names - beside == source_files()
    assert {"pyproject.toml", "README.md", "PKG-INFO"} <= beside
    assert beside <= {
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "PKG-INFO",
        "LICENSE",
        "NOTICE",
        ".gitignore",
    }


async def test_a_host_publishes_beside_packages_of_the_same_names(
    installed: Path, host: Path, servers: RunningServers
) -> None:
    prefix = f"host-{os.getpid()}:"
    async with servers.fresh_database() as url:
        await migrate(url, [SOURCE])
        told = json.loads(
            run(installed / "python", "main.py", servers.redis_url, url, prefix, cwd=host).stdout
        )
        connection = await connect(url)
        rows = await connection.fetch(
            "SELECT event_id, type, key, version, source, data::text FROM headwater.outbox"
        )
        await connection.close()
    broker = Broker(servers.redis_url)
    stream = f"{prefix}parcels"
    length = await broker.execute("XLEN", stream)
    await broker.execute("DEL", stream)
    await broker.close()

    assert (told["schemas"], told["consumers"]) == (str(host / "schemas/__init__.py"), "the host's")
    assert told["headwater"].startswith(str(installed.parent))
    assert (told["outcome"], told["error"], length) == ("ok", "", 1)
    assert [key for key, _ in told["entries"]] == [stream]
    assert [dict(row) for row in rows] == [
        {
            "event_id": told["receipt"],
            "type": "parcel.sent",
            "key": "p2",
            "version": 2,
            "source": "host",
            "data": '{"parcelId":"p2","weight":3}',
        }
    ]


def test_the_command_line_works_there(installed: Path, host: Path) -> None:
    version = run(installed / "headwater", "--version", cwd=host).stdout
    listed = run(installed / "headwater", "--help", cwd=host).stdout

    assert (
        version
        == f"headwater {next(iter(installed.parent.rglob('headwater-*.dist-info'))).stem.split('-')[1]}\n"
    )
    assert "worker" in listed


def test_outside_a_project_the_command_line_says_what_is_missing(installed: Path, host: Path) -> None:
    done = run(installed / "headwater", "worker", "crm", cwd=host, fails=True)

    assert done.returncode == 1
    assert done.stdout == ""
    what, _, do = done.stderr.splitlines()
    assert what.startswith("error:   no project here (")
    assert "streams, producers, backfill missing" in what
    assert "--project DIR" in do
