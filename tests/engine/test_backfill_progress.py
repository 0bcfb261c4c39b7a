"""How far a backfill is, in chunks that were read, delivered and applied; and what slows it down."""

from __future__ import annotations

from datetime import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.clock import monotonic, now
from headwater.replay import Hours, Job, Standing
from headwater.replay.jobs import Jobs
from headwater.replay.progress import Pace, Progress, seconds_left
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS
from tests.engine.test_backfill import GROUP, asked, became, ended, runner, said, sleeper, stocked

figures = st.integers(min_value=0, max_value=1000)


def counted(standing: Standing) -> tuple[int | None, ...]:
    (one,) = standing.subjects
    return one.expected, one.read, one.published, one.delivered, one.applied


async def stands(shop: Shop, job: Job) -> Standing:
    found = await Jobs(shop.source).get(job.id)
    assert found is not None
    return await shop.history().standing(found)


async def test_rows_are_read_published_delivered_and_applied_in_this_order(shop: Shop) -> None:
    await stocked(shop, 30)
    await sleeper(shop)
    shop.start(runner(shop, chunk=10, window=10))
    job = await asked(shop)
    key = shop.key(GOODS)

    async def is_said(count: int) -> bool:
        return await said(shop) == count and (await stands(shop, job)).subjects[0].published == count

    await until(lambda: is_said(10))
    assert counted(await stands(shop, job)) == (30, 10, 10, 0, 0)
    first = await shop.broker.read(GROUP, "sleeper", [key], count=7, block=0.01)
    assert counted(await stands(shop, job)) == (30, 10, 10, 5, 0)
    await shop.broker.acknowledge(GROUP, {key: [one.id for one in first[1:]]})
    assert counted(await stands(shop, job)) == (30, 10, 10, 5, 0)  # its oldest is pending
    await shop.broker.acknowledge(GROUP, {key: [first[0].id]})
    await until(lambda: is_said(15))
    found = await stands(shop, job)
    assert counted(found) == (30, 15, 15, 5, 5)
    assert found.subjects[0].chunks == 3
    assert found.eta is not None
    assert found.eta > 0

    shop.start(shop.worker())
    await shop.broker.execute("XGROUP", "DELCONSUMER", key, GROUP, "sleeper")
    job = await ended(shop, job)
    found = await stands(shop, job)
    assert found.eta == 0


async def test_what_a_lost_stream_had_counts_as_delivered_to_nobody(shop: Shop) -> None:
    await stocked(shop, 5)
    shop.start(runner(shop))
    job = await asked(shop)
    await became(shop, job, "catching_up")
    await shop.broker.execute("DEL", shop.key(GOODS))

    assert counted(await stands(shop, job)) == (5, 5, 5, 0, 0)


async def test_no_more_rows_a_second_than_the_job_was_allowed(shop: Shop) -> None:
    await stocked(shop, 60)
    shop.start(shop.worker())
    shop.start(runner(shop, window=10, rate=1000))
    began = monotonic()

    job = await ended(shop, await asked(shop, rate=100))

    assert (job.state, job.rate) == ("verified", 100)
    assert monotonic() - began >= 0.55


async def test_in_quiet_hours_nothing_is_said_and_a_job_can_still_be_steered(shop: Shop) -> None:
    await stocked(shop, 5)
    whole_day = Hours(time(0), time(23, 59, 59, 999999))
    quiet = shop.start(runner(shop, quiet=whole_day))
    jobs, job = Jobs(shop.source), await asked(shop)
    await became(shop, job, "running")
    await jobs.pause(job, "op")
    paused = await became(shop, job, "paused")
    assert (await said(shop), paused.parts[0].published) == (0, 0)
    await shop.stop(quiet)

    shop.start(shop.worker())
    shop.start(runner(shop))
    await jobs.resume(job, "op")
    assert (await ended(shop, job)).state == "verified"


def part(expected: int | None, counts: tuple[int, int, int]) -> Progress:
    read, published, applied = counts
    return Progress(
        subject="goods",
        state="running",
        expected=expected,
        read=read,
        published=published,
        delivered=applied,
        applied=applied,
        failed=0,
        chunks=1,
    )


JOB = Job(
    id="j",
    tenant="t",
    app="shelf",
    state="running",
    since=None,
    asked_by="",
    reason="",
    cancelled=False,
    paused=False,
    priority=0,
    rate=None,
    token=1,
    created_at=now(),
    started_at=None,
    finished_at=None,
    error=None,
)


@given(
    st.sampled_from(["queued", "running", "paused", "catching_up", "verifying", "verified"]),
    st.lists(st.builds(part, st.one_of(st.none(), figures), st.tuples(figures, figures, figures))),
    st.builds(Pace, figures, st.floats(min_value=0, max_value=100)),
    st.floats(min_value=0, max_value=1e6),
)
def test_the_time_left_is_unknown_or_not_negative(
    state: str, subjects: list[Progress], pace: Pace, elapsed: float
) -> None:
    left = seconds_left(msgspec.structs.replace(JOB, state=state), subjects, pace, elapsed)

    assert left is None or left >= 0


@pytest.mark.parametrize(("expected", "left"), [(100, 9.0), (None, None), (5, 0.0)])
def test_the_time_left_is_what_is_unread_at_the_pace_of_the_latest_chunks(
    expected: int | None, left: float | None
) -> None:
    assert seconds_left(JOB, [part(expected, (10, 10, 0))], Pace(20, 2.0), 1.0) == left
