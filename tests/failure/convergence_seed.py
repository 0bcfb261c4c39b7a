"""The seed of a test that draws lots."""

from __future__ import annotations

import os
import time

import pytest


@pytest.fixture
def seed() -> int:
    """Printed when the test fails; HEADWATER_TEST_SEED sets it."""
    chosen = int(os.environ.get("HEADWATER_TEST_SEED") or time.time_ns() % 1_000_000)
    print(f"HEADWATER_TEST_SEED={chosen}")
    return chosen
