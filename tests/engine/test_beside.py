"""One thing is done beside the making of the next: in order, one at a time, and nothing is left running."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.replay.beside import Beside


@given(st.lists(st.integers(0, 3), max_size=8))
def test_things_are_done_in_order_and_never_two_at_once(pauses: list[int]) -> None:
    done: list[int] = []
    going: list[int] = []

    async def work(number: int, pause: int) -> None:
        going.append(number)
        assert len(going) == 1
        for _ in range(pause):
            await asyncio.sleep(0)
        going.remove(number)
        done.append(number)

    async def all_of_them() -> None:
        async with Beside() as beside:
            for number, pause in enumerate(pauses):
                await beside.begin(work(number, pause))
            await beside.end()

    asyncio.run(all_of_them())

    assert done == list(range(len(pauses)))


async def test_a_thing_is_under_way_while_the_next_is_made() -> None:
    begun, free = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await free.wait()

    async with Beside() as beside:
        await beside.begin(work())
        assert begun.is_set()
        free.set()
        await beside.end()


async def test_what_one_raises_is_told_and_the_next_does_not_begin() -> None:
    begun: list[str] = []

    async def fails() -> None:
        raise ValueError("no room")

    async def next_one() -> None:
        begun.append("next")

    async with Beside() as beside:
        await beside.begin(fails())
        with pytest.raises(ValueError, match="no room"):
            await beside.begin(next_one())

    assert begun == []


async def test_whoever_leaves_early_leaves_nothing_running() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Beside() as beside:
        await beside.begin(work())

    assert ended.is_set()
