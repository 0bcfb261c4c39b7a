"""How long a process waits between tries."""

from __future__ import annotations

import pytest

from headwater.patience import FIRST, LONGEST, backoff


@pytest.mark.parametrize("failures", [1, 5, 10, 2_000])
def test_a_pause_grows_and_never_passes_its_bound(failures: int) -> None:
    """An outage of hours is waited out like one of seconds."""
    seconds = backoff(failures)

    assert FIRST / 2 <= seconds <= LONGEST
    assert failures < 10 or seconds >= LONGEST / 2
