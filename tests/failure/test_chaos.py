"""Some seconds of everything at once; `python -m tests.failure.chaos` does it for as long as wanted."""

from __future__ import annotations

from pathlib import Path

from tests.failure.chaos import chaos
from tests.failure.convergence_seed import seed
from tests.failure.truth import Verdict

__all__ = ["seed"]  # a fixture

SECONDS = 12.0
SURE = (
    *("deaths of a worker", "deaths of a relay", "restarts of Redis", "crashes of Postgres", "FLUSHALLs"),
    *("faults of RedisProxy", "faults of PostgresProxy", "late copies", "chunks", "clocks stepped"),
)


async def test_after_a_storm_everything_said_is_held_exactly_once(seed: int, tmp_path: Path) -> None:
    async with chaos(seed, tmp_path) as storm:
        report = await storm.run(SECONDS)

    assert report.verdict == Verdict()
    assert {name for name in SURE if not report.happened[name]} == set(), report.happened
