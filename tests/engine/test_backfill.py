"""A backfill says the past once more: paced, resumable, fenced, and finished only when both sides agree."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, get_args

import msgspec
import pytest

from headwater.clock import now
from headwater.errors import JobRefused
from headwater.replay import Runner, Ways, agreeing
from headwater.replay.jobs import Ahead, Fenced, Job, Jobs, Step
from headwater.replay.states import State
from headwater.testing import controls, until
from headwater.testing.controls import GoodChanged
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS

ABOUT = {"asked_by": "test", "reason": "enabled"}
GROUP = "shelf-group"
STATES: tuple[State, ...] = get_args(State)


async def stocked(shop: Shop, count: int) -> dict[str, str]:
    """Goods that are in the source only; their names by key."""
    rows = await shop.source.fetch(
        "INSERT INTO goods (good_id, tenant_id, name) "
        "SELECT gen_random_uuid(), $1, 'good ' || n FROM generate_series(1, $2) AS n "
        "RETURNING good_id::text AS key, name",
        *(shop.tenant, count),
    )
    return {row["key"]: row["name"] for row in rows}


async def asked(shop: Shop, *subjects: str, **about: Any) -> Job:
    jobs = Jobs(shop.source)
    async with shop.source.transaction() as tx:
        return await jobs.create(tx, shop.tenant, "shelf", subjects or ("goods",), {**ABOUT, **about})


async def ended(shop: Shop, job: Job) -> Job:
    jobs = Jobs(shop.source)

    async def finished() -> Job | None:
        found = await jobs.get(job.id)
        return found if found is not None and found.finished else None

    found = await until(finished)
    assert found is not None
    return found


async def became(shop: Shop, job: Job, state: str, within: float = 30.0) -> Job:
    """Wait until the job is in a state."""
    jobs = Jobs(shop.source)

    async def found() -> Job | None:
        now_is = await jobs.get(job.id)
        return now_is if now_is is not None and now_is.state == state else None

    there = await until(found, within=within)
    assert there is not None
    return there


async def claimed(shop: Shop) -> None:
    """Wait until a runner has a job."""

    async def leased() -> bool:
        query = "SELECT lease_until IS NOT NULL FROM headwater.job"
        return bool(await shop.source.fetchval(query))

    await until(leased)


def runner(shop: Shop, **changes: Any) -> Runner:
    ways: Ways = msgspec.structs.replace(shop.ways(), **changes)
    return Runner(ways, holder="runner")


async def said(shop: Shop) -> int:
    state = await shop.broker.stream(shop.key(GOODS))
    return state.length if state else 0


async def sleeper(shop: Shop) -> None:
    """A consumer that is there, and takes nothing."""
    await shop.broker.create_group(shop.key(GOODS), GROUP)
    assert await shop.broker.read(GROUP, "sleeper", [shop.key(GOODS)], count=1, block=0.01) == []


async def test_every_row_is_said_applied_and_compared(shop: Shop) -> None:
    goods = await stocked(shop, 25)
    shop.start(shop.worker())
    shop.start(runner(shop, chunk=10, window=10))

    job = await ended(shop, await asked(shop))

    assert (job.state, job.parts[0].published, job.parts[0].expected) == ("verified", 25, 25)
    assert await shop.goods() == goods
    (entry, *_) = await shop.broker.range(shop.key(GOODS))
    labels = entry.fields or {}
    assert (labels[b"hist"], labels[b"target"], labels[b"job"]) == (b"1", b"shelf", job.id.encode())
    whats = [one["what"] for one in await Jobs(shop.source).events(job.id)]
    assert (whats[0], whats[-1]) == ("queued", "verified")


async def test_a_subject_that_grows_while_it_is_read_is_read_to_where_it_was_and_the_rest_comes_live(
    shop: Shop,
) -> None:
    goods = await stocked(shop, 40)
    await shop.enable()
    shop.start(shop.relay())
    await sleeper(shop)  # the job stands still within its window
    shop.start(runner(shop, chunk=10, window=20))
    job = await asked(shop)

    async def begun() -> int:
        return sum(part.read for one in [await Jobs(shop.source).get(job.id)] if one for part in one.parts)

    await until(begun)
    for number in range(30):
        goods[await shop.put(f"late {number}", f"ffffffff-ffff-4fff-bfff-{number:012}")] = f"late {number}"
    assert await begun() < 40, "the rows were added behind where the job was reading"
    shop.start(shop.worker())

    job = await ended(shop, job)

    part = job.parts[0]
    assert (job.state, part.read, part.published, part.expected) == ("verified", 40, 40, 40)
    assert part.bound == [max(key for key, name in goods.items() if name.startswith("good"))]
    assert await shop.goods() == goods


async def test_a_retry_draws_the_last_key_again(shop: Shop) -> None:
    await stocked(shop, 4)
    await sleeper(shop)
    shop.start(runner(shop, chunk=2, window=2))
    job = await asked(shop)

    async def bound() -> bool:
        found = await Jobs(shop.source).get(job.id)
        return found is not None and found.parts[0].bound is not None

    await until(bound)
    jobs = Jobs(shop.source)
    await jobs.cancel(shop.tenant, "shelf", "test")
    job = await ended(shop, job)
    late = "ffffffff-ffff-4fff-bfff-000000000001"
    await shop.source.execute(
        "INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, 'late')", late, shop.tenant
    )
    shop.start(shop.worker())

    await jobs.retry(job, "test")
    job = await became(shop, job, "verified")

    assert (job.parts[0].bound, job.parts[0].read) == ([late], 5)


async def test_rows_of_other_tenants_are_not_said(shop: Shop) -> None:
    other = await stocked(shop, 3)
    shop.tenant = str(uuid.uuid4())
    goods = await stocked(shop, 2)
    shop.start(shop.worker())
    shop.start(runner(shop))

    job = await ended(shop, await asked(shop))

    assert (job.state, job.parts[0].published) == ("verified", 2)
    assert await shop.goods() == goods
    assert await shop.sink.fetchval("SELECT count(*) FROM goods") == 2
    assert other


async def test_history_never_overwrites_what_is_newer(shop: Shop) -> None:
    shop.start(shop.relay())
    await shop.enable()
    good = await shop.put("old")
    shop.start(shop.worker())
    await shop.put("new", good)

    async def live() -> bool:
        return await shop.goods() == {good: "new"}

    await until(live)
    old = GoodChanged(good_id=good, name="old")
    past = controls.BACKFILL
    late = msgspec.structs.replace(
        past, say=lambda row: old, scope=past.scope.replace("headwater_version", "1")
    )
    shop.start(runner(shop, backfills=(late,), sinks={}))
    await ended(shop, await asked(shop))

    assert await shop.goods() == {good: "new"}


async def test_one_backfill_of_an_application_runs_at_a_time(shop: Shop) -> None:
    first = await asked(shop)

    with pytest.raises(JobRefused) as raised:
        await asked(shop)

    assert raised.value.job.id == first.id
    assert await Jobs(shop.source).cancel(shop.tenant, "shelf", "test") == [first.id]
    assert (await ended(shop, first)).state == "cancelled"
    assert (await asked(shop)).state == "queued"


async def test_a_job_that_was_taken_over_can_be_changed_by_its_new_runner_only(shop: Shop) -> None:
    await stocked(shop, 3)
    asked_for = await asked(shop)
    first, second = runner(shop), runner(shop)
    old = await first.jobs.claim("first")
    assert await second.jobs.claim("second") is None
    await shop.source.execute("UPDATE headwater.job SET lease_until = now() - interval '1 second'")
    new = await second.jobs.claim("second")
    assert old is not None
    assert new is not None

    assert await first.one(old) == "fenced"
    for change in (
        first.jobs.renew(old),
        first.jobs.move(old, "failed"),
        first.jobs.start_part(old, "goods", Ahead(9, [])),
        first.jobs.checkpoint(old, "goods", Step(published=9)),
        first.jobs.finish_part(old, "goods", "done"),
    ):
        with pytest.raises(Fenced):
            await change

    assert await said(shop) == 0
    shop.start(shop.worker())
    assert await second.one(new) == "verified"
    assert (await ended(shop, asked_for)).parts[0].published == 3


async def test_a_row_that_can_not_be_said_is_counted_reported_and_holds_up_nobody(shop: Shop) -> None:
    goods = await stocked(shop, 4)
    huge = str(uuid.uuid4())
    insert = "INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, repeat('x', 300000))"
    await shop.source.execute(insert, huge, shop.tenant)
    shop.start(shop.worker())
    shop.start(runner(shop))

    job = await ended(shop, await asked(shop))

    part = job.parts[0]
    assert (job.state, part.state, part.published, part.failed) == ("diverged", "done", 4, 1)
    (report,) = [one for one in part.details if one["status"] == "failed"]
    assert report["key"] == huge
    assert "262144" in report["error"]
    assert await shop.goods() == goods
    assert job.error is not None
    assert "goods" in job.error


async def test_a_subject_that_fails_does_not_stop_the_next(shop: Shop) -> None:
    goods = await stocked(shop, 3)
    scope = controls.SCOPE.replace("price, note", "price / 0 AS price, note")
    broken = msgspec.structs.replace(controls.BACKFILL, subject="shelves", scope=scope)
    shop.start(shop.worker())
    shop.start(runner(shop, backfills=(broken, controls.BACKFILL)))

    job = await ended(shop, await asked(shop, "shelves", "goods"))

    assert (job.state, job.error) == ("failed", "failed: shelves")
    assert [(part.subject, part.state) for part in job.parts] == [("shelves", "failed"), ("goods", "done")]
    assert "DivisionByZero" in (job.parts[0].error or "")

    async def applied() -> bool:
        return await shop.goods() == goods

    await until(applied)


async def test_a_job_that_can_not_be_compared_fails_alone_and_its_runner_lives_on(shop: Shop) -> None:
    await stocked(shop, 1)
    nowhere = msgspec.structs.replace(controls.MIRRORED["shelf"]["goods"], table="nowhere")
    shop.start(shop.worker())
    broken = runner(shop, mirrored={"shelf": {"goods": nowhere}})
    shop.start(broken)

    first = await ended(shop, await asked(shop))
    second = await ended(shop, await asked(shop))
    third = await ended(shop, await asked(shop))

    assert {one.state for one in (first, second, third)} == {"failed"}
    assert "nowhere" in (first.error or "")


async def test_a_cancelled_job_stops_within_a_chunk(shop: Shop) -> None:
    await stocked(shop, 100)
    await sleeper(shop)
    shop.start(runner(shop, chunk=10, window=10))
    job = await asked(shop)

    async def window_is_full() -> bool:
        return await said(shop) == 10

    await until(window_is_full)
    assert await Jobs(shop.source).cancel(shop.tenant, "shelf", "test") == [job.id]

    assert (await ended(shop, job)).state == "cancelled"
    assert await said(shop) == 10


async def test_a_pause_lets_go_within_a_second_and_the_job_goes_on_behind_its_last_chunk(shop: Shop) -> None:
    goods = await stocked(shop, 100)
    await sleeper(shop)
    shop.start(runner(shop, chunk=10, window=10))
    jobs, job = Jobs(shop.source), await asked(shop)

    async def window_is_full() -> bool:
        return await said(shop) == 10

    await until(window_is_full)
    assert (await jobs.pause(job, "op")).paused
    paused = await became(shop, job, "paused")
    assert await shop.source.fetchval("SELECT lease_until IS NULL FROM headwater.job")
    assert await jobs.claim("another") is None
    shop.start(shop.worker())
    await jobs.resume(job, "op")

    done = await ended(shop, job)
    assert paused.parts[0].read in {5, 10}  # what was said may not have been written down yet
    assert (done.state, done.parts[0].published) == ("verified", 100)
    assert await shop.goods() == goods
    assert await said(shop) <= 100 + 10  # what the pause cut off is said again
    trail = [(one["actor"], one["what"]) for one in await jobs.events(job.id)]
    assert [one for one in trail if one[0] == "op"] == [("op", "pause asked"), ("op", "resumed")]


async def test_a_runner_that_is_stopped_leaves_its_job_to_the_next_without_delay(shop: Shop) -> None:
    goods = await stocked(shop, 30)
    await sleeper(shop)
    first = shop.start(runner(shop, chunk=10, window=10, lease=600.0))
    job = await asked(shop)

    async def window_is_full() -> bool:
        return await said(shop) == 10

    await until(window_is_full)
    await shop.stop(first)
    assert await shop.source.fetchval("SELECT lease_until IS NULL FROM headwater.job")
    shop.start(shop.worker())
    shop.start(runner(shop))

    assert (await ended(shop, job)).state == "verified"
    assert await shop.goods() == goods


async def test_entries_that_the_application_parked_are_counted_and_named(shop: Shop) -> None:
    await stocked(shop, 5)
    await shop.sink.execute("ALTER TABLE goods ADD CONSTRAINT other CHECK (name <> 'good 3')")
    shop.start(shop.worker())
    shop.start(runner(shop))

    job = await ended(shop, await asked(shop))

    assert job.state == "diverged"
    assert "2 of this job's entries are parked" in (job.error or "")  # said, and said again to repair
    found = await shop.history().standing(job)
    assert (found.parked, found.subjects[0].applied) == (2, 5)
    assert await known(shop) == [("goods", "differing", "1 quarantined", 5, 4)]

    await shop.sink.execute("ALTER TABLE goods DROP CONSTRAINT other")
    await Jobs(shop.source).retry(job, "op")
    await became(shop, job, "verified")
    assert await known(shop) == [("goods", "agreed", "", None, None)]


async def test_a_job_keeps_its_lease_through_a_comparison_that_lasts_longer(shop: Shop) -> None:
    await stocked(shop, 9)
    shop.start(shop.worker())
    goods = msgspec.structs.replace(controls.MIRRORED["shelf"]["goods"], live="pg_sleep(0.2) IS NOT NULL")
    own = {"mirrored": {"shelf": {"goods": goods}}, "lease": 1.0}
    shop.start(runner(shop, **own))
    shop.start(runner(shop, **own))

    job = await ended(shop, await asked(shop))

    seconds = await shop.source.fetchval(
        "SELECT extract(epoch FROM max(at) - min(at))::float8 FROM headwater.job_event "
        "WHERE what IN ('claimed', 'verified')"
    )
    assert seconds > 1.5, "longer than the lease"
    assert (job.state, job.token) == ("verified", 1), "nobody took it over"


async def known(shop: Shop) -> list[tuple[Any, ...]]:
    """What the last comparison said."""
    rows = await shop.source.fetch("SELECT * FROM headwater.agreement ORDER BY subject")
    about = ("subject", "state", "reason", "source_count", "applied_count")
    return [tuple(row[name] for name in about) for row in rows]


async def test_a_comparison_answers_for_no_loss_that_is_recorded_while_it_looks(shop: Shop) -> None:
    before = await agreeing.signals(shop.source, shop.sink, "shelf")
    await shop.sink.execute(
        "INSERT INTO headwater.gap (app, stream, kind, entry) VALUES ('shelf', 'goods', 'trimmed', '1-0')"
    )
    await agreeing.agreed(shop.source, shop.tenant, controls.MIRRORED["shelf"]["goods"], before)

    now = await agreeing.signals(shop.source, shop.sink, "shelf")
    row = await shop.source.fetchrow("SELECT gap, sink, epoch FROM headwater.agreement")
    assert row is not None
    assert tuple(row) == tuple(before)
    assert now.gap > before.gap, "the loss is newer than what is known, so it puts it in doubt"


async def test_a_long_query_does_not_delay_a_pause_or_the_end_of_a_job(shop: Shop) -> None:
    await stocked(shop, 3)
    slow = msgspec.structs.replace(controls.BACKFILL, scope=controls.SCOPE + " AND pg_sleep(60) IS NOT NULL")
    shop.start(runner(shop, backfills=(slow,)))
    jobs, job = Jobs(shop.source), await asked(shop)
    await became(shop, job, "running")

    await jobs.pause(job, "op")
    await became(shop, job, "paused", within=20.0)
    await jobs.resume(job, "op")
    await claimed(shop)
    await jobs.cancel(shop.tenant, "shelf", "op")
    await became(shop, job, "cancelled", within=20.0)


async def test_a_paused_job_can_be_cancelled_and_a_cancelled_one_neither_paused_nor_resumed(
    shop: Shop,
) -> None:
    jobs, job = Jobs(shop.source), await asked(shop)
    with pytest.raises(JobRefused, match="queued can not be resumed"):
        await jobs.resume(job, "op")
    assert (await jobs.pause(job, "op")).state == "paused"
    assert (await jobs.pause(job, "op")).state == "paused"
    await jobs.cancel(shop.tenant, "shelf", "op")

    assert (await ended(shop, job)).state == "cancelled"
    for change in (jobs.pause, jobs.resume):
        with pytest.raises(JobRefused, match="cancelled can not be"):
            await change(job, "op")


async def test_a_job_that_only_waits_for_the_application_can_not_be_paused(shop: Shop) -> None:
    await stocked(shop, 3)
    shop.start(runner(shop))
    jobs, job = Jobs(shop.source), await asked(shop)
    await became(shop, job, "catching_up")

    with pytest.raises(JobRefused, match="catching_up can not be paused"):
        await jobs.pause(job, "op")


async def test_a_failed_job_that_is_tried_again_does_only_what_is_left(shop: Shop) -> None:
    goods = await stocked(shop, 3)
    scope = controls.SCOPE.replace("price, note", "price / 0 AS price, note")
    broken = msgspec.structs.replace(controls.BACKFILL, subject="shelves", scope=scope)
    mended = msgspec.structs.replace(controls.BACKFILL, subject="shelves")
    shop.start(shop.worker())
    first = shop.start(runner(shop, backfills=(broken, controls.BACKFILL)))
    jobs, job = Jobs(shop.source), await asked(shop, "shelves", "goods")
    assert (await ended(shop, job)).state == "failed"
    await shop.stop(first)
    shop.start(runner(shop, backfills=(mended, controls.BACKFILL)))

    await jobs.retry(job, "op")

    done = await ended(shop, job)
    assert (done.state, done.error) == ("verified", None)
    assert [(part.state, part.published) for part in done.parts] == [("done", 3), ("done", 3)]
    assert await shop.goods() == goods
    with pytest.raises(JobRefused, match="verified can not be retried"):
        await jobs.retry(job, "op")


async def test_a_job_is_not_tried_again_while_another_has_its_subject(shop: Shop) -> None:
    jobs, old = Jobs(shop.source), await asked(shop)
    await jobs.cancel(shop.tenant, "shelf", "op")
    new = await asked(shop)

    with pytest.raises(JobRefused) as raised:
        await jobs.retry(old, "op")

    assert raised.value.job.id == new.id


async def test_jobs_without_a_common_subject_are_open_at_the_same_time(shop: Shop) -> None:
    first, second = await asked(shop, "goods"), await asked(shop, "shelves")
    assert first.id != second.id

    results = await asyncio.gather(
        *(asked(shop, *subjects) for subjects in (["shelves"], ["goods", "shelves"])), return_exceptions=True
    )

    refused = [one.job.id for one in results if isinstance(one, JobRefused)]
    assert refused == [second.id, first.id]


async def test_of_many_that_ask_at_once_one_gets_the_job(shop: Shop) -> None:
    results = await asyncio.gather(*(asked(shop) for _ in range(6)), return_exceptions=True)

    assert sum(isinstance(one, Job) for one in results) == 1
    assert sum(isinstance(one, JobRefused) for one in results) == 5


async def test_as_many_jobs_are_in_hands_at_once_as_may_be_and_the_urgent_go_first(shop: Shop) -> None:
    jobs = Jobs(shop.source)
    await asked(shop, "a")
    await asked(shop, "b", priority=5)
    await asked(shop, "c", priority=-5)

    taken = await asyncio.gather(*(jobs.claim("r", at_once=2) for _ in range(3)))

    found = {one.parts[0].subject: one for one in taken if one is not None}
    assert set(found) == {"a", "b"}
    assert await jobs.claim("r", at_once=2) is None
    await jobs.move(found["a"], "cancelled")
    last = await jobs.claim("r", at_once=2)
    assert last is not None
    assert last.parts[0].subject == "c"


async def test_a_job_can_not_skip_a_state(shop: Shop) -> None:
    await asked(shop)
    jobs = Jobs(shop.source)
    job = await jobs.claim("r")
    assert job is not None

    for state in STATES[3:8]:
        with pytest.raises(JobRefused, match=f"queued can not become {state}"):
            await jobs.move(job, state)

    assert (await became(shop, job, "queued")).finished_at is None


async def test_a_slow_consumer_never_has_more_than_the_window_before_it(shop: Shop) -> None:
    await stocked(shop, 60)
    await sleeper(shop)
    shop.start(runner(shop, chunk=20, window=10))
    await asked(shop)
    key, behind = shop.key(GOODS), []

    async def all_taken() -> bool:
        (state,) = await shop.broker.groups(key)
        behind.append((state.lag or 0) + state.pending)
        taken = await shop.broker.read(GROUP, "sleeper", [key], count=3, block=0.01)
        await shop.broker.acknowledge(GROUP, {key: [one.id for one in taken]})
        return await said(shop) == 60

    await until(all_taken, every=0.005)

    assert max(behind) <= 10


async def test_a_group_that_nobody_runs_holds_up_no_backfill(shop: Shop) -> None:
    await stocked(shop, 60)
    shop.start(runner(shop, chunk=20, window=10))
    await asked(shop)

    async def all_said() -> bool:
        return await said(shop) == 60

    await until(all_said)


async def test_what_was_deleted_while_the_application_was_away_leaves_it(shop: Shop) -> None:
    goods = await stocked(shop, 3)
    shop.start(shop.relay())
    shop.start(shop.worker())
    shop.start(runner(shop))
    assert (await ended(shop, await asked(shop))).state == "verified"
    gone = next(iter(goods))
    await shop.remove(gone)

    job = await ended(shop, await asked(shop))

    assert (job.state, job.parts[0].published) == ("verified", 2)
    assert await shop.goods() == {key: name for key, name in goods.items() if key != gone}
    assert "repair" not in [one["what"] for one in await Jobs(shop.source).events(job.id)]


async def test_what_was_deleted_without_a_trace_is_found_by_comparing_and_removed(shop: Shop) -> None:
    goods = await stocked(shop, 3)
    shop.start(shop.worker())
    shop.start(runner(shop))
    await ended(shop, await asked(shop))
    gone = next(iter(goods))
    await shop.source.execute(
        "ALTER TABLE goods DISABLE TRIGGER USER; "
        f"DELETE FROM goods WHERE good_id = '{gone}'; ALTER TABLE goods ENABLE TRIGGER USER"
    )

    job = await ended(shop, await asked(shop))

    assert job.state == "verified"
    assert await shop.goods() == {key: name for key, name in goods.items() if key != gone}
    repairs = [one["detail"] for one in await Jobs(shop.source).events(job.id) if one["what"] == "repair"]
    assert repairs == ["goods: 1 orphan"]


async def test_a_table_that_lost_its_rows_gets_them_back(shop: Shop) -> None:
    goods = await stocked(shop, 3)
    shop.start(shop.worker())
    shop.start(runner(shop))
    await ended(shop, await asked(shop))
    await shop.sink.execute("TRUNCATE goods")

    job = await ended(shop, await asked(shop))

    assert job.state == "verified"
    assert await shop.goods() == goods
    repairs = [one["detail"] for one in await Jobs(shop.source).events(job.id) if one["what"] == "repair"]
    assert repairs == ["goods: 3 missing"]


async def test_a_backfill_of_the_recent_past_says_only_that_and_does_not_claim_more(shop: Shop) -> None:
    old = await stocked(shop, 3)
    await shop.source.execute("UPDATE goods SET created_at = '2020-01-01', updated_at = '2020-01-01'")
    new = await stocked(shop, 2)
    shop.start(shop.worker())
    shop.start(runner(shop))
    since = now().replace(year=2021, month=1, day=1)

    job = await ended(shop, await asked(shop, since=since))

    assert (job.state, job.parts[0].published) == ("partial", 2)
    assert await shop.goods() == new
    assert not set(old) & set(new)


async def test_an_application_that_can_not_be_looked_at_is_not_called_verified(shop: Shop) -> None:
    await stocked(shop, 1)
    shop.start(shop.worker())
    shop.start(runner(shop, sinks={}))

    assert (await ended(shop, await asked(shop))).state == "partial"


async def test_a_job_is_not_done_before_the_application_has_applied_everything(shop: Shop) -> None:
    await stocked(shop, 5)
    shop.start(runner(shop))
    job = await asked(shop)
    jobs = Jobs(shop.source)

    async def catching_up() -> bool:
        found = await jobs.get(job.id)
        return found is not None and found.state == "catching_up"

    await until(catching_up)
    assert await shop.goods() == {}
    shop.start(shop.worker())

    assert (await ended(shop, job)).state == "verified"
    assert len(await shop.goods()) == 5


async def test_a_cancelled_job_that_is_wanted_again_starts_from_its_first_row(shop: Shop) -> None:
    await stocked(shop, 30)
    await sleeper(shop)
    job = await asked(shop)
    old = await Jobs(shop.source).claim("old")
    assert old is not None
    async with shop.source.transaction() as tx:
        again = await Jobs(shop.source).restart(tx, job, ["goods"], {**ABOUT, "reason": "again"})

    with pytest.raises(Fenced):
        await Jobs(shop.source).renew(old)
    assert (again.id, again.state, again.reason) == (job.id, "queued", "again")
    shop.start(shop.worker())
    shop.start(runner(shop))
    assert (await ended(shop, job)).parts[0].published == 30


async def test_a_stream_lost_while_a_job_catches_up_is_said_again_without_waiting_for_traffic(
    shop: Shop,
) -> None:
    goods = await stocked(shop, 5)
    shop.start(runner(shop))
    job = await asked(shop)

    async def catching_up() -> bool:
        found = await Jobs(shop.source).get(job.id)
        return found is not None and found.state == "catching_up"

    await until(catching_up)
    await shop.broker.execute("DEL", shop.key(GOODS))
    await shop.broker.create_group(shop.key(GOODS), GROUP)
    shop.start(shop.worker())

    assert (await ended(shop, job)).state == "verified"
    assert await shop.goods() == goods
