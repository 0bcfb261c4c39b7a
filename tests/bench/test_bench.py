"""The bench still measures every section; what it finds on tiny sizes says nothing and is not looked at."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from headwater.testing import RunningServers

ROOT = Path(__file__).parents[2]
SMALL = ("--quick", "--events", "200", "--seconds", "0.2")


async def bench(servers: RunningServers, *arguments: str) -> tuple[int | None, str, str]:
    there = {
        "HEADWATER_TEST_REDIS_URL": servers.redis_url,
        "HEADWATER_TEST_POSTGRES_URL": servers.maintenance_url,
    }
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headwater", "bench", *arguments),
        cwd=ROOT,
        env={**os.environ, **there},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, notes = await running.communicate()
    return running.returncode, out.decode(), notes.decode()


def shares(figure: dict[str, Any]) -> list[float]:
    return [limit["share"] * limit["value"] for limit in figure["limits"]]


async def test_every_rate_stands_beside_a_limit_of_the_same_run(
    servers: RunningServers, tmp_path: Path
) -> None:
    kept = tmp_path / "bench.json"
    measured = ("relay", "apply", "backfill", "reconcile", "retain")

    code, out, notes = await bench(servers, *measured, *SMALL, "--json", "--save", str(kept))

    assert code == 0, notes
    found = json.loads(out)
    assert found["schema"] == "headwater.bench.v1"
    assert json.loads(kept.read_text()) == found
    assert found["conditions"]["sizes"]["events"] == 200
    assert found["conditions"]["postgres"]["synchronous_commit"] == "on"
    figures = found["figures"]
    assert list(dict.fromkeys(one["section"] for one in figures)) == list(measured)
    assert all(one["low"] <= one["value"] <= one["high"] for one in figures)
    rates = [one for one in figures if one["unit"] != "ms"]
    assert [one["name"] for one in rates if not one["limits"]] == []
    for one in rates:
        assert all(abs(value - one["value"]) < 1e-6 * one["value"] + 1e-6 for value in shares(one))


async def test_only_the_sections_asked_for_are_measured_and_a_table_is_for_people(
    servers: RunningServers,
) -> None:
    code, out, notes = await bench(servers, "publish", "latency", "idle", "crash", *SMALL)

    assert code == 0, notes
    assert [line for line in notes.splitlines() if line.startswith("measuring")] == [
        *("measuring publish ...", "measuring latency ...", "measuring idle ...", "measuring crash ...")
    ]
    assert "raw socket, XADD of the same bytes" in out
    assert "outbox and relay, 5,000/s" in out
    assert "first event, publish to visible row" in out
    assert "kill -9 half-way, started again under its name" in out
    assert "fsync" in notes


async def test_a_section_that_there_is_not_is_refused(servers: RunningServers) -> None:
    code, _, notes = await bench(servers, "everything")

    assert code == 2
    assert "'everything'" in notes
