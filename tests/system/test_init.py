"""`headwater init` as a process: what it writes passes its own test, and `headwater dev` runs it at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from headwater.cli.init import SKELETON
from headwater.database import connect
from headwater.testing import RunningServers, until

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("HEADWATER_", "PYTHON", "PYTEST"))
}
HEADWATER = (sys.executable, "-m", "headwater")


def run(*command: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**CLEAN, "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project."""
    done = run(*HEADWATER, "init", "My Shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "My Shop"


def test_it_writes_every_file_under_its_name_and_none_beside(project: Path) -> None:
    written = {file.relative_to(project).as_posix() for file in project.rglob("*") if file.is_file()}
    kept = {file.relative_to(SKELETON).as_posix() for file in SKELETON.rglob("*.*") if file.is_file()}

    assert {".env", ".gitignore", "pyproject.toml", "tests/test_orders.py"} < written
    assert {name.replace("dot.", ".") for name in kept if "/." not in name and "__" not in name} >= {
        name for name in written if "__" not in name
    }
    assert 'name = "my-shop"' in (project / "pyproject.toml").read_text()
    assert not [file for file in project.rglob("*") if file.is_file() and "my-project" in file.read_text()]


def test_it_writes_into_no_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")

    done = run(*HEADWATER, "init", ".", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "not empty: name one that is new" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_its_own_test_passes(project: Path, servers: RunningServers) -> None:
    addresses = {
        "HEADWATER_TEST_REDIS_URL": servers.redis_url,
        "HEADWATER_TEST_POSTGRES_URL": servers.maintenance_url,
    }

    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project, **addresses)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@asynccontextmanager
async def developing(project: Path) -> AsyncIterator[tuple[dict[str, Any], dict[str, str]]]:
    """(what a running `dev` says of itself, what it exports)."""
    process = await asyncio.create_subprocess_exec(
        *HEADWATER, "dev", "--port", "0", "--json", cwd=project, env=CLEAN, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    try:
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        lines = run(*HEADWATER, "dev", "--print-env", cwd=project).stdout.splitlines()
        yield told, dict(line.removeprefix("export ").replace("'", "").split("=", 1) for line in lines)
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0


async def test_dev_runs_it_and_an_application_enabled_later_has_the_past_and_is_live(project: Path) -> None:
    async with developing(project) as (told, exported):
        put = (sys.executable, "-m", "producers.orders", exported["HEADWATER_SOURCE_URL"], "acme")
        assert run(*put, "past", "12.50", cwd=project).returncode == 0
        enable = f"{told['admin']['url']}/admin/tenants/acme/applications/books/enable"
        async with aiohttp.ClientSession(headers={"X-API-Key": told["admin"]["key"]}) as http:
            async with http.post(enable) as answer:
                assert answer.status == 202
                job = (await answer.json())["job"]
            async with http.post(enable) as answer:
                assert (await answer.json())["job"] is None
        assert run(*put, "live", "7", cwd=project).returncode == 0

        ended = run(*HEADWATER, "backfill", "show", job, "--watch", cwd=project, **exported)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        books = await connect(exported["HEADWATER_APP_BOOKS_URL"])

        async def both() -> bool:
            return {row["order_id"] for row in await books.fetch("TABLE orders")} == {"past", "live"}

        await until(both, within=60)
        await books.close()
        agree = run(*HEADWATER, "reconcile", "books", "--tenant", "acme", cwd=project, **exported)
        assert agree.returncode == 0, agree.stdout + agree.stderr
