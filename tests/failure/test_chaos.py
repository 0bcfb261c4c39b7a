"""Some seconds of everything at once; `python -m tests.failure.chaos` does it for as long as wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.failure.chaos import SURE, chaos, faults, told
from tests.failure.convergence_seed import seed
from tests.failure.truth import Verdict

__all__ = ["seed"]  # a fixture

SECONDS = 12.0


async def test_after_a_storm_everything_said_is_held_exactly_once(seed: int, tmp_path: Path) -> None:
    async with chaos(seed, tmp_path) as storm:
        report = await storm.run(SECONDS)

    assert report.verdict == Verdict()
    assert {name for name in SURE if not report.happened[name]} == set(), report.happened


async def test_a_storm_that_does_not_end_is_reported_as_one_that_failed() -> None:
    found = await told(1.0, 3, limit=0.05)

    assert (found["seed"], faults(found)) == (3, ["it failed"])
    assert "TimeoutError" in str(found["error"])


@pytest.mark.parametrize("kind", Verdict.__struct_fields__)
def test_a_single_row_that_differs_is_wrong(kind: str) -> None:
    assert faults({**dict.fromkeys(SURE, 1), **Verdict().counts(), kind: 1}) == [kind]


@pytest.mark.parametrize("name", SURE)
def test_a_storm_in_which_something_did_not_bite_proves_nothing(name: str) -> None:
    assert faults({**dict.fromkeys(SURE, 1), **Verdict().counts(), name: 0}) == [f"no {name}"]
    assert faults({**dict.fromkeys(SURE, 1), **Verdict().counts()}) == []
