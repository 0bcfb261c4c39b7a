"""The bench still measures everything; what it measures on tiny sizes says nothing and is not looked at."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SMALL = ("--quick", "--events", "200", "--seconds", "0.2")


async def bench(*arguments: str) -> tuple[int | None, str, str]:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headwater", "bench", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, notes = await running.communicate()
    return running.returncode, out.decode(), notes.decode()


def shares(figure: dict[str, Any]) -> list[float]:
    return [limit["share"] * limit["value"] for limit in figure["limits"]]


async def test_every_section_gives_figures_and_every_rate_stands_beside_a_limit(tmp_path: Path) -> None:
    kept = tmp_path / "bench.json"

    code, out, notes = await bench(*SMALL, "--json", "--save", str(kept))

    assert code == 0, notes
    found = json.loads(out)
    assert found["schema"] == "headwater.bench.v1"
    assert json.loads(kept.read_text()) == found
    assert found["conditions"]["sizes"]["events"] == 200
    assert found["conditions"]["postgres"]["synchronous_commit"] == "on"
    figures = found["figures"]
    sections = list(dict.fromkeys(one["section"] for one in figures))
    assert sections == ["publish", "relay", "apply", "latency", "backfill", "idle", "crash"]
    assert all(one["low"] <= one["value"] <= one["high"] for one in figures)
    rates = [one for one in figures if one["section"] in {"publish", "relay", "apply", "backfill"}]
    assert [one["name"] for one in rates if not one["limits"] and one["unit"] != "ms"] == []
    for one in rates:
        assert all(abs(value - one["value"]) < 1e-6 * one["value"] + 1e-6 for value in shares(one))
    assert all(one["details"]["missing"] == 0 for one in figures if one["section"] == "crash")


async def test_only_the_sections_asked_for_are_measured_and_a_table_is_for_people() -> None:
    code, out, notes = await bench("publish", *SMALL)

    assert code == 0, notes
    assert "measuring publish" in notes
    assert "measuring apply" not in notes
    assert "raw socket, XADD of the same bytes" in out
    assert "fsync" in notes


async def test_a_section_that_there_is_not_is_refused() -> None:
    code, _, notes = await bench("everything")

    assert code == 2
    assert "'everything'" in notes
