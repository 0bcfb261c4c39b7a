"""`until`: what it takes, what it returns, and what it says when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from headwater.testing import until


@pytest.fixture
def answers() -> Iterator[int]:
    return iter([0, 0, 7])


async def test_it_returns_the_first_true_value_of_a_sync_check(answers: Iterator[int]) -> None:
    assert await until(lambda: next(answers), every=0.001) == 7


async def test_it_awaits_an_async_check(answers: Iterator[int]) -> None:
    async def check() -> int:
        return next(answers)

    assert await until(check, every=0.001) == 7


async def test_an_exception_counts_as_not_yet(answers: Iterator[int]) -> None:
    assert await until(lambda: 14 // next(answers), every=0.001) == 2


async def test_giving_up_names_the_check_and_its_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.01 s: .*lambda: 1 - 1.*; it last returned 0"):
        await until(lambda: 1 - 1, within=0.01, every=0.001)


async def test_giving_up_carries_the_last_exception() -> None:
    def broken() -> bool:
        raise LookupError("no such row")

    with pytest.raises(
        AssertionError, match=r"broken; it last raised LookupError\('no such row'\)"
    ) as caught:
        await until(broken, within=0.01, every=0.001)

    assert isinstance(caught.value.__cause__, LookupError)


async def test_a_check_that_hangs_is_given_up_too() -> None:
    with pytest.raises(AssertionError, match=r"wait; it last raised TimeoutError"):
        await until(asyncio.Event().wait, within=0.01, every=0.001)


async def test_the_check_runs_once_even_without_any_time() -> None:
    assert await until(lambda: "there", within=0.0) == "there"


async def test_a_cancel_of_the_waiter_goes_through() -> None:
    waiting = asyncio.create_task(until(asyncio.Event().wait))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
