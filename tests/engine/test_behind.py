"""What a job appended is written down behind it: in order, whole, and never before it was appended."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.replay.behind import MOST, Behind
from headwater.replay.jobs import Step

COUNTS = st.integers(0, 50)


def steps(count: int, rows: int = 1) -> list[Step]:
    return [
        Step(read=rows, published=rows, checkpoint=[str(number)], appended={"s": f"{number}-0"})
        for number in range(count)
    ]


@given(st.lists(st.tuples(COUNTS, COUNTS, st.none() | st.lists(st.text(max_size=3), min_size=1)), min_size=1))
def test_steps_taken_together_say_what_they_said_one_by_one(
    counts: list[tuple[int, int, list[str] | None]],
) -> None:
    taken = [
        Step(
            read=read, published=published, checkpoint=after, details=[{"n": read}], refused={str(read): "x"}
        )
        for read, published, after in counts
    ]

    both = taken[0]
    for later in taken[1:]:
        both = both.plus(later)

    assert both.read == sum(one.read for one in taken)
    assert both.published == sum(one.published for one in taken)
    assert both.details == [one for step in taken for one in step.details]
    assert both.refused.keys() == {str(one.read) for one in taken}
    known = [one.checkpoint for one in taken if one.checkpoint]
    assert both.checkpoint == (known[-1] if known else None)


async def test_steps_that_come_while_one_is_written_are_written_as_one() -> None:
    written: list[Step] = []
    free = asyncio.Event()

    async def write(step: Step) -> None:
        await free.wait()
        written.append(step)

    async with Behind(write) as behind:
        for step in steps(10):
            await behind.take(step)
            await asyncio.sleep(0)
        free.set()
        await behind.end()

    assert [one.read for one in written] == [1, 9]
    assert (written[-1].checkpoint, written[-1].appended) == (["9"], {"s": "9-0"})


async def test_the_last_step_is_written_although_none_follows() -> None:
    written: list[Step] = []
    done = asyncio.Event()

    async def write(step: Step) -> None:
        written.append(step)
        if step.checkpoint == ["2"]:
            done.set()

    async with Behind(write) as behind:
        for step in steps(3):
            await behind.take(step)
        await asyncio.wait_for(done.wait(), 30.0)

    assert sum(one.read for one in written) == 3


async def test_only_so_many_rows_are_ahead_of_what_is_written() -> None:
    free = asyncio.Event()

    async def write(_: Step) -> None:
        await free.wait()

    async with Behind(write) as behind:
        first, second = steps(2, rows=MOST)
        await behind.take(first)
        await asyncio.sleep(0)
        taking = asyncio.create_task(behind.take(second))
        assert not (await asyncio.wait({taking}, timeout=0.05))[0]
        free.set()
        await taking
        await behind.end()


async def test_what_a_write_raised_is_raised_by_the_next_step_and_ends_nothing_quietly() -> None:
    async def write(_: Step) -> None:
        raise KeyError("fenced")

    async with Behind(write) as behind:
        first, second = steps(2)
        await behind.take(first)
        await asyncio.sleep(0)
        with pytest.raises(KeyError, match="fenced"):
            await behind.take(second)


async def test_leaving_cuts_a_write_off_and_leaves_nothing_running() -> None:
    ended: list[str] = []

    async def write(_: Step) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cut")

    async with Behind(write) as behind:
        await behind.take(steps(1)[0])
        await asyncio.sleep(0)

    assert ended == ["cut"]
