"""Say every user once, here and now, with a worker that applies them: the bulk sync as a command runs it."""

from __future__ import annotations

from backfill.user_sync.system import CHAT, UserSync
from headwater.cli.jobs import Follower, asked_by
from headwater.cli.loops import Loops
from headwater.cli.output import Output
from headwater.database import load
from headwater.errors import JobRefused
from headwater.replay import Job
from producers import accounts


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
