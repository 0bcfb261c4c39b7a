"""Call the application's functions: within their time, their failures told from those of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from headwater.database import Tx, is_over, is_unavailable
from headwater.delivery.consumer import Context, Function
from headwater.delivery.halving import TakenOut
from headwater.delivery.outcome import Done, Limits, describe
from headwater.delivery.work import Work
from headwater.errors import HeadwaterError, Reject, Retry


class HandlerFailed(HeadwaterError):
    """A handler could not reach something that is not the application's database, or did what none may do."""


async def run(step: Function, tx: Tx, admitted: Sequence[Work], limits: Limits) -> None:
    """Run a function for what was let through. Raises what it raises, HandlerFailed or TakenOut."""
    if step.batch is None:
        await _each((step.handler(one.envelope.event, tx, context(one)) for one in admitted), tx, limits)
        return
    answers: dict[int, Exception] = {}
    for start in range(0, len(admitted), step.batch):
        part = admitted[start : start + step.batch]
        events, contexts = [one.envelope.event for one in part], [context(one) for one in part]
        (answered,) = await _each([step.handler(events, tx, contexts)], tx, limits)
        answers.update(_unfinished(part, answered))
    if answers:
        raise TakenOut(answers)


async def _each(calls: Iterable[Awaitable[Any]], tx: Tx, limits: Limits) -> list[Any]:
    loop = asyncio.get_running_loop()
    answers = []
    try:
        # Else one would hold its batch for ever. One limit that moves on costs less than one for each.
        async with asyncio.timeout(limits.handler) as limit:
            asked = loop.time()
            for call in calls:
                if (began := loop.time()) - asked > limits.handler / 8:
                    await tx.execute("SELECT 1")  # handlers may ask nothing, and Postgres ends who idles
                    asked = began
                limit.reschedule(began + limits.handler)
                answers.append(await call)
                if not tx.is_in_transaction():  # its mark went with it, or stands without its effect
                    raise HandlerFailed("the handler ended the transaction that it was given")
        return answers
    except asyncio.CancelledError as error:
        if _are_we_cancelled():
            raise
        # What the handler waited for was cancelled by somebody else: nobody asked us to end.
        raise HandlerFailed("what the handler waited for was cancelled") from error
    except Exception as error:
        if is_unavailable(error) and not is_over(tx):
            # Not our database: what the handler asked did not answer. That counts as its failure.
            raise HandlerFailed(describe(error)) from error
        raise


def _are_we_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _unfinished(part: Sequence[Work], answered: Any) -> dict[int, Exception]:
    if answered is None:
        return {}
    if not isinstance(answered, Sequence) or len(answered) != len(part):
        raise HandlerFailed(
            f"a batch handler answers None, or one outcome for each of its {len(part)} events"
        )
    found: dict[int, Exception] = {}
    for one, answer in zip(part, answered, strict=True):
        if isinstance(answer, Retry | Reject):
            found[id(one)] = answer
        elif not isinstance(answer, Done):
            raise HandlerFailed(f"{type(answer).__name__} is no outcome: Done, Retry and Reject are")
    return found


def context(work: Work) -> Context:
    """What a handler is told beside the event."""
    envelope: Any = work.envelope
    return Context(
        tenant=envelope.tenant,
        key=envelope.key,
        version=envelope.version,
        event_id=envelope.id,
        historical=envelope.historical,
        target=envelope.target,
        source=envelope.source,
        correlation=envelope.correlation or str(envelope.metadata.get("correlationId") or ""),
        time=envelope.time,
        stream=work.delivery.stream,
        entry=work.delivery.entry,
    )
