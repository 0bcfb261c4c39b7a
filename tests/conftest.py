"""Servers once a session; each worker of pytest-xdist has its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio

from headwater.testing import RunningServers, running_servers
from tests import machine

machine.prepare()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncIterator[RunningServers]:
    """A Redis and a Postgres: those named in the environment, else embedded ones without fsync."""
    async with running_servers() as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged of hostile input travels to the process that reports, as text that can."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
