"""Somebody's transaction stays open at the source: deletions wait only so long, and then it is named."""

from __future__ import annotations

from typing import Any

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from headwater.replay.jobs import Jobs
from headwater.replay.reconcile import Wish
from headwater.replay.writers import told, version_past_writers
from tests.engine.conftest import Shop
from tests.engine.test_backfill import asked, became, ended, runner
from tests.engine.test_compare import stocked, without_triggers
from tests.engine.test_reconcile import reconciled

NAME = "a long report"
TEXTS = st.text(max_size=20)


async def writing(shop: Shop) -> Any:
    """A session that has written, and does not commit."""
    session = await asyncpg.connect(shop.source.url, server_settings={"application_name": NAME})
    await session.execute("BEGIN; SELECT pg_current_xact_id()")
    return session


def names(told: str, session: Any) -> bool:
    who = f"pid {session.get_server_pid()} (application_name {NAME!r})"
    return who in told and "is open at the source for " in told


async def test_a_job_that_waited_long_enough_ends_and_names_who_it_waited_for(shop: Shop) -> None:
    same, orphan, missing = await stocked(shop, 3)
    await without_triggers(shop, f"DELETE FROM goods WHERE good_id = '{orphan}'")
    await shop.sink.execute("DELETE FROM goods WHERE good_id = $1", missing)
    session = await writing(shop)
    shop.start(runner(shop, patience=0.3))

    job = await ended(shop, await asked(shop))

    assert (job.state, names(job.error or "", session)) == ("diverged", True)
    assert (await shop.goods()).keys() == {same, orphan, missing}, "the rest is mended"
    whats = {one["what"]: one["detail"] for one in await Jobs(shop.source).events(job.id)}
    assert names(whats["waited"], session)

    await session.execute("COMMIT")
    await Jobs(shop.source).retry(job, "op")
    assert (await became(shop, job, "verified")).error is None
    assert (await shop.goods()).keys() == {same, missing}
    await session.close()


async def test_a_repair_that_waited_long_enough_names_who_it_waited_for(shop: Shop) -> None:
    same, orphan = await stocked(shop, 2)
    await without_triggers(shop, f"DELETE FROM goods WHERE good_id = '{orphan}'")
    session = await writing(shop)

    kept = await reconciled(shop, Wish(fix=True, patience=2.0))

    assert (kept.state, kept.removed) == ("differing", 0)
    assert names(kept.reason, session)
    await session.execute("COMMIT")
    assert (await reconciled(shop, Wish(fix=True, patience=30.0))).state == "agreed"
    assert (await shop.goods()).keys() == {same}
    await session.close()


async def test_also_who_began_to_write_last_of_all_is_waited_for(shop: Shop) -> None:
    before = await version_past_writers(shop.source, within=30.0)
    session = await writing(shop)
    waiting = await version_past_writers(shop.source, within=0.0)

    assert (before.open, waiting.version) == ("", None)
    assert names(waiting.open, session)
    await session.close()
    after = await version_past_writers(shop.source, within=30.0)
    assert (after.version or 0) > (before.version or 0)


@given(st.integers(1), TEXTS, TEXTS, TEXTS, st.none() | TEXTS, st.none() | st.floats(0, 1e9))
def test_an_open_transaction_is_told_by_what_is_known_of_it(
    pid: int, application: str, role: str, database: str, prepared: str | None, seconds: float | None
) -> None:
    row = {"pid": pid, "application": application, "role": role, "database": database}
    text = told({**row, "prepared": prepared, "seconds": seconds})

    who = [f"pid {pid}", repr(application)] if prepared is None else [repr(prepared)]
    assert all(one in text for one in (*who, repr(role), repr(database)))
    assert text.endswith(" s") == (seconds is not None)
    assert "ended since" in told(None)
