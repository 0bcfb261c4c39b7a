"""Examine one subject of a tenant in an application: buckets first, then only the keys of those that differ.

Both systems move on. A bucket that differs is opened, and its keys are looked at again until each has
shown what the source had, or the application has applied everything that was said before: only what
differs then is a difference. Memory is bounded: buckets are opened a slice at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from headwater import clock
from headwater.replay.content import Content
from headwater.replay.digest import NOTHING, Buckets
from headwater.replay.kinds import KINDS, Kind, Sighting, by_kind
from headwater.replay.sides import Shown, Sides

SLICE = 50_000
"""Rows of opened buckets that are held in memory at once."""
LOOKS = 4
"""Looks at keys that differ; from the third on, after the application has caught up."""
PAUSE = 0.1
SHOWN = 1000
"""Keys of each kind that a finding names; the counts are always whole."""

CaughtUp = Callable[[], Awaitable[bool]]
Mend = Callable[[Mapping[Kind, Sequence[str]]], Awaitable[None]]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What an examination of one subject found."""

    subject: str
    level: int
    source_count: int
    applied_count: int
    buckets_differing: int
    """Buckets that differed at the first look: lag included."""
    kinds: dict[str, int]
    """Keys that differ, by kind; empty when both agree."""
    keys: dict[str, list[str]]
    """Those keys, SHOWN of each kind at most."""
    letters: dict[str, int]
    """Dead letters that stand for quarantined keys."""
    content_compared: int
    """Rows whose content was compared: level 2."""
    refused: dict[str, str]
    """Why rows of the source can not be said, by key."""
    caught_up: bool
    """False: the application had not applied in time what was said before, and lag may be among it."""
    seconds: float
    as_of: datetime

    @property
    def agreed(self) -> bool:
        """Whether nothing differs."""
        return not self.kinds


class Examiner:
    """Examines one subject."""

    def __init__(self, sides: Sides, content: Content | None, caught_up: CaughtUp) -> None:
        """`content`: what level 2 looks into."""
        self._sides = sides
        self._content = content
        self._catch_up = caught_up
        self._counts: dict[Kind, int] = {}
        self._keys: dict[Kind, list[str]] = {}
        self._letters: dict[str, int] = {}
        self._caught_up = True

    async def examine(
        self, *, level: int = 1, sample: int | None = None, mend: Mend | None = None
    ) -> Finding:
        """Look, and give what differs to `mend`, slice by slice.

        `sample`: at level 2, compare the content of about so many rows; None: of all.
        """
        begun = time.monotonic()
        said, shown = await self._sides.buckets()
        differing = differing_buckets(said, shown)
        async for kinds in self._opened(differing, said, shown):
            await self._found(kinds, mend)
        rows = sum(one.rows for one in said.values())
        if level > 1 and rows and self._content is not None:
            await self._look_inside(self._content, sample, rows, mend)
        return Finding(
            subject=self._sides.mirrored.subject,
            level=level,
            source_count=rows,
            applied_count=sum(one.rows for one in shown.buckets.values()),
            buckets_differing=len(differing),
            kinds={one: self._counts[one] for one in KINDS if one in self._counts},
            keys={one: self._keys[one] for one in KINDS if one in self._keys},
            letters=self._letters,
            content_compared=self._content.compared if self._content else 0,
            refused=self._content.refused if self._content else {},
            caught_up=self._caught_up,
            seconds=time.monotonic() - begun,
            as_of=clock.now(),
        )

    async def _opened(
        self, differing: Sequence[int], said: Buckets, shown: Shown
    ) -> AsyncIterator[dict[str, Kind]]:
        for some in slices(differing, said, shown):
            kinds = await self._settled(some)
            if kinds:
                yield kinds

    async def _settled(self, buckets: Sequence[int]) -> dict[str, Kind]:
        """How keys of the buckets differ, once what was on its way has arrived."""
        sides, sighting = self._sides, Sighting()
        source = await sides.keys_said(buckets)
        held = await sides.keys_held(buckets)
        sighting.look(sorted(source.keys() | held.keys()), source, held)
        del source, held
        for look in range(1, LOOKS):
            keys = sighting.differing
            if not keys:
                return {}
            await self._wait(look)
            sighting.look(keys, await sides.said(keys), await sides.held(keys))
        if sighting.differing:
            sighting.source_again(await sides.said(sighting.differing))
        return await self._with_letters(sighting.kinds())

    async def _wait(self, look: int) -> None:
        await asyncio.sleep(PAUSE)
        if look > 1 and self._caught_up:  # one that lags is waited for once, not again for each slice
            self._caught_up = await self._catch_up()

    async def _with_letters(self, kinds: dict[str, Kind]) -> dict[str, Kind]:
        waiting = [key for key, how in kinds.items() if how in {"missing", "stale"}]
        letters = await self._sides.letters(waiting) if waiting else {}
        if len(self._letters) < SHOWN:
            self._letters.update(letters)
        return {key: "quarantined" if key in letters else how for key, how in kinds.items()}

    async def _look_inside(self, content: Content, sample: int | None, rows: int, mend: Mend | None) -> None:
        corrupt = await content.corrupt(sample=sample, rows=rows)
        if corrupt:
            await asyncio.sleep(PAUSE)
            corrupt = await content.confirmed(corrupt)
        if corrupt:
            await self._found(dict.fromkeys(corrupt, "corrupt"), mend)

    async def _found(self, kinds: dict[str, Kind], mend: Mend | None) -> None:
        found = by_kind(kinds)
        for how, keys in found.items():
            self._counts[how] = self._counts.get(how, 0) + len(keys)
            named = self._keys.setdefault(how, [])
            named += keys[: SHOWN - len(named)]
        if mend is not None:
            await mend(found)


async def examined(sides: Sides, caught_up: CaughtUp, mend: Mend | None = None) -> Finding:
    """Examine keys and versions of one subject. Raises DeclarationError, DatabaseUnavailable."""
    await sides.open()
    return await Examiner(sides, None, caught_up).examine(mend=mend)


def as_dict(found: Finding) -> dict[str, Any]:
    """A finding as it is shown to people and programs. Pure."""
    return {
        "subject": found.subject,
        "sourceCount": found.source_count,
        "appliedCount": found.applied_count,
        "bucketsDiffering": 0 if found.agreed else found.buckets_differing,
        "kinds": found.kinds,
        "agree": found.agreed,
        "asOf": found.as_of,
    }


def differing_buckets(said: Buckets, shown: Shown) -> list[int]:
    """Numbers of the buckets that have to be opened, in order. Pure."""
    numbers = said.keys() | shown.buckets.keys()
    different = {one for one in numbers if said.get(one, NOTHING) != shown.buckets.get(one, NOTHING)}
    return sorted(different | shown.astray.keys())


def slices(differing: Sequence[int], said: Buckets, shown: Shown) -> list[list[int]]:
    """The buckets in groups of about SLICE rows at most, each in one of them. Pure."""
    found: list[list[int]] = []
    size = SLICE + 1
    for number in differing:
        rows = max(_rows(said, number), _rows(shown.buckets, number)) + shown.astray.get(number, 0)
        if size + rows > SLICE:
            found.append([])
            size = 0
        found[-1].append(number)
        size += rows
    return found


def _rows(side: Buckets, number: int) -> int:
    return side.get(number, NOTHING).rows
