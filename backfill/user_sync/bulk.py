"""Say every user once, here and now, with a worker that applies them: the bulk sync as a command runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from backfill.user_sync.system import CHAT, UserSync
from consumers import chat
from headwater import clock
from headwater.cli.jobs import Follower, asked_by
from headwater.cli.loops import Loops
from headwater.cli.output import Output
from headwater.database import Database, load
from headwater.errors import HeadwaterError, JobRefused
from headwater.publish import Said
from headwater.replay import Job
from producers import accounts
from schemas.accounts import AccountDeleted

PATIENCE = 60.0
"""Seconds until the chat has applied that users are gone."""


async def queued(wiring: UserSync, *, by: str, reason: str) -> Job:
    """The bulk sync, queued now, or the one that is open."""
    history = await wiring.history()
    source = await wiring.open_source()
    try:
        async with source.transaction() as tx:
            job = await history.start(tx, wiring.realm, CHAT, {}, {"asked_by": by, "reason": reason})
            await tx.execute(load(accounts.__file__, "bulk_done"))
            return job
    except JobRefused as refused:
        if isinstance(refused.job, Job):
            return refused.job
        raise


async def run_bulk(wiring: UserSync, out: Output) -> Job:
    """Run it to its end, unless another process has it; the job then.

    Raises SettingsError: no chat is named.
    """
    worker = await wiring.worker(CHAT)
    job = await queued(wiring, by=asked_by(), reason="command line")
    out.note(f"bulk sync {job.id}")
    async with Loops() as loops:
        loops.start("worker", worker.run(), worker.stop)
        return await Follower(out, wiring, job.id).run_to_end()


async def run_all(wiring: UserSync, out: Output) -> chat.Verification:
    """Say everybody, then of those whom the chat alone has that they are gone; what differs at the end.

    Raises HeadwaterError when the bulk sync did not end well, SettingsError.
    """
    worker, relay = await wiring.worker(CHAT), wiring.relay()
    job = await queued(wiring, by=asked_by(), reason="sync all")
    out.note(f"bulk sync {job.id}")
    async with Loops() as loops:
        loops.start("worker", worker.run(), worker.stop, stage=1)
        loops.start("relay", relay.run(poll=wiring.settings.relay.poll), relay.stop)
        ended = await Follower(out, wiring, job.id).run_to_end()
        if ended.state not in {"verified", "partial"}:
            raise HeadwaterError(f"the bulk sync ended {ended.state}", hint=ended.error or "")
        return await _leave(wiring)


async def _leave(wiring: UserSync) -> chat.Verification:
    """Let those leave whom only the chat has, a hundred at a time, as long as that makes them fewer."""
    source, there = await wiring.open_source(), await wiring.chat()
    found = await chat.verify(source, there)
    before = found.extra + 1
    while 0 < found.extra < before:
        before = found.extra
        await _gone(there, await say_gone(wiring, found.extra_ids))
        found = await chat.verify(source, there)
    return found


async def say_gone(wiring: UserSync, users: Sequence[str]) -> list[str]:
    """Say of users that they are gone whom the source does not have, or not as active; of whom it was said.

    The version is drawn before the source is asked: whoever comes back meanwhile has a larger one.
    """
    source, producer = await wiring.open_source(), wiring.producer("users")
    async with source.transaction() as tx:
        version = await tx.fetchval("SELECT headwater.next_version()")
        rows = await source.fetch(load(accounts.__file__, "active_of"), list(users))
        gone = sorted(set(users) - {row["id"] for row in rows})
        said = [Said(AccountDeleted(account_id=user), wiring.realm, version) for user in gone]
        await producer.publish_many(tx, said)
    return gone


async def _gone(there: Database, users: Sequence[str]) -> None:
    """Wait until the chat shows none of them any more; a minute at most."""
    end = clock.monotonic() + PATIENCE
    while clock.monotonic() < end and await there.fetchval(load(__file__, "shown_in_chat"), list(users)):
        await asyncio.sleep(0.1)
