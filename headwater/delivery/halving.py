"""Outcomes for a batch: which entries of it can not be applied is found by halving.

A bad entry costs only itself, and about twice the logarithm of the batch in attempts. Locks that
others hold are waited for by the whole batch first; then the batch is halved once, within a bound,
so that one locked row holds up one entry, and a locked table costs one waiting statement and no more.

Always holds: of one ordered thing nothing is applied after something that failed before it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from headwater.delivery.consumer import Consumer
from headwater.delivery.outcome import (
    Ack,
    Fault,
    Hold,
    Limits,
    Outcome,
    Park,
    RetryAfter,
    classify,
    decide,
    describe,
    race_pause,
)
from headwater.delivery.work import Work
from headwater.errors import DatabaseUnavailable, HeadwaterError, SessionLost

RACES = 5
"""How often a batch that lost a race is applied again before it is halved."""
ROUNDS = 3
"""How often a batch is applied again without what a handler took out of it, before it is halved."""

Apply = Callable[[Sequence[Work]], Awaitable[None]]
Failures = Mapping[tuple[str, str], int]
Thing = tuple[str, str, str]
"""Tenant, subject and key of what an event is about."""


class TablesUnfit(HeadwaterError):
    """The application's tables do not fit its declaration: nothing can be applied until that is mended."""


class Fenced(HeadwaterError):
    """What this worker holds was given to another one: nothing was applied, the other one does it."""


class TakenOut(HeadwaterError):
    """Events that a batch handler did not finish: nothing was applied, the others can be without them."""

    def __init__(self, answers: Mapping[int, Exception]) -> None:
        """`answers`: what was answered, by `id` of the work."""
        super().__init__(f"a batch handler took out {len(answers)} events")
        self.answers = answers


class Halving:
    """Settles one batch. `blocked`: ordered things that wait for an earlier event; grows."""

    def __init__(
        self, apply: Apply, consumer: Consumer, limits: Limits, failures: Failures, blocked: set[Thing]
    ) -> None:
        """`failures`: how often an entry failed before."""
        self._apply = apply
        self._consumer = consumer
        self._limits = limits
        self._failures = failures
        self._blocked = blocked
        self._locked = 0
        """Further attempts that may end at somebody's lock."""

    async def settle(self, work: Sequence[Work]) -> list[Outcome]:
        """An outcome for each, in order. Raises DatabaseUnavailable, TablesUnfit or Fenced: then
        nothing is decided about any of them.
        """
        if not work:
            return []
        self._locked = 2 * len(work).bit_length() + 4
        return await self._settle(work, RACES)

    async def _settle(self, work: Sequence[Work], races: int, rounds: int = ROUNDS) -> list[Outcome]:
        if not self._blocked:
            return await self._free(work, races, rounds)
        found: dict[int, Outcome] = {id(one): Hold() for one in work if self._thing(one) in self._blocked}
        free = [one for one in work if id(one) not in found]
        if free:
            outcomes = await self._free(free, races, rounds)
            found.update(zip(map(id, free), outcomes, strict=True))
        return [found[id(one)] for one in work]

    async def _free(self, work: Sequence[Work], races: int, rounds: int) -> list[Outcome]:
        error = await self._attempt(work, races)
        if error is None:
            return [Ack()] * len(work)
        if isinstance(error, TakenOut) and (rounds or len(work) == 1):
            return await self._without(work, error.answers, rounds - 1)
        if len(work) == 1:
            return [self._failed(work[0], error)]
        middle = len(work) // 2
        return [*await self._settle(work[:middle], 1), *await self._settle(work[middle:], 1)]

    async def _without(
        self, work: Sequence[Work], answers: Mapping[int, Exception], rounds: int
    ) -> list[Outcome]:
        found: dict[int, Outcome] = {}
        failed: set[Thing] = set()
        for one in work:
            thing = self._thing(one)
            if thing in failed:
                found[id(one)] = Hold()
            elif id(one) in answers:
                found[id(one)] = self._decide(one, answers[id(one)])
                failed |= {thing} if thing else set()
        rest = [one for one in work if id(one) not in found]
        if rest:
            found.update(zip(map(id, rest), await self._settle(rest, 1, rounds), strict=True))
        self._blocked |= failed
        return [found[id(one)] for one in work]

    def _failed(self, work: Work, error: Exception) -> Outcome:
        thing = self._thing(work)
        if thing:
            self._blocked.add(thing)
        return self._decide(work, error)

    def _decide(self, work: Work, error: Exception) -> RetryAfter | Park:
        before = self._failures.get((work.delivery.stream, work.delivery.entry), 0)
        return decide(error, failures=before, limits=self._limits, chance=random.random())  # noqa: S311

    def _thing(self, work: Work) -> Thing | None:
        return self._consumer.ordered_thing(work.envelope)

    async def _attempt(self, work: Sequence[Work], races: int) -> Exception | None:
        for turn in range(races):
            try:
                await self._apply(work)
            except Fenced:
                raise
            except Exception as error:  # the edge of a delivery: every failure becomes an outcome
                fault = classify(error)
                if fault is Fault.UNAVAILABLE:
                    kind = SessionLost if isinstance(error, SessionLost) else DatabaseUnavailable
                    raise kind(describe(error)) from error
                if fault is Fault.DEPLOY:
                    raise TablesUnfit(describe(error), hint="run: headwater doctor") from error
                if fault is Fault.LOCKED:
                    self._lock_met(error)
                    return error
                if fault is not Fault.AGAIN or turn == races - 1:
                    return error
                await asyncio.sleep(race_pause(turn, random.random()))  # noqa: S311
            else:
                return None
        raise AssertionError("a batch is attempted at least once")

    def _lock_met(self, error: Exception) -> None:
        self._locked -= 1
        if self._locked < 0:
            raise DatabaseUnavailable(f"too much is locked ({describe(error)})") from error
