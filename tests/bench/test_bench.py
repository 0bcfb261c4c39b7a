"""The bench still runs; what it measures on tiny sizes says nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def test_the_bench_measures_every_part_beside_its_limit() -> None:
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", "--smoke", "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, notes = await bench.communicate()

    assert bench.returncode == 0, notes.decode()
    found = json.loads(out)
    assert found["schema"] == "headwater.bench.v1"
    assert found["conditions"]["sizes"]["name"] == "smoke"
    names = " ".join(figure["name"] for figure in found["figures"])
    for part in ("publish direct", "publish outbox", "relay", "applied", "visible row", "verified"):
        assert part in names
    assert all(figure["value"] >= 0 for figure in found["figures"])
