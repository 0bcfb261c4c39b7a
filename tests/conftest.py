"""Servers once a session; each worker of pytest-xdist has its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator

import hypothesis
import pytest
import pytest_asyncio

from headwater.testing import RunningServers, running_servers
from tests import machine

machine.prepare()
hypothesis.settings.register_profile("house", deadline=None)  # a busy machine makes no example wrong
hypothesis.settings.load_profile("house")
FAILED = pytest.StashKey[bool]()
"""Whether a test failed."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncIterator[RunningServers]:
    """A Redis and a Postgres: those named in the environment, else embedded ones without fsync."""
    async with running_servers() as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fixtures hear of a failure; hostile input that was logged travels to the process that reports."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
