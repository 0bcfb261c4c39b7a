"""Mend keys that differ, by the way that every event takes: appended, and decided by the gate.

Always holds: nothing here writes a mirrored row. What is said carries the version its row has when it is
read, so a newer state that comes meanwhile wins in either order. A deletion draws its version before the
source is asked whether the row is really gone, and after every writer that could bring it back unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headwater import failpoints, telemetry
from headwater.database import load
from headwater.replay.digest import reopened
from headwater.replay.kinds import Kind
from headwater.replay.saying import Appended, Saying
from headwater.replay.sides import Sides
from headwater.replay.writers import version_past_writers

log = telemetry.logger(__name__)
CHUNK = 1000
SAID_AGAIN: tuple[Kind, ...] = ("missing", "stale", "corrupt")


class Mended(msgspec.Struct, frozen=True):
    """What was done about some keys."""

    said: int = 0
    """Rows said again."""
    removed: int = 0
    """Keys said to be gone, the source having confirmed it."""
    refused: dict[str, str] = {}
    """Why rows could not be said, by key."""
    upto: Appended = msgspec.field(default_factory=dict)
    """The last entry of it on each stream."""
    waited: str = ""
    """Whose open transaction kept keys from being removed."""

    def plus(self, other: Mended) -> Mended:
        """Both together."""
        refused, upto = {**self.refused, **other.refused}, {**self.upto, **other.upto}
        waited = other.waited or self.waited
        return Mended(self.said + other.said, self.removed + other.removed, refused, upto, waited)


class Mending:
    """Mends one subject of one tenant in one application."""

    def __init__(self, sides: Sides, saying: Saying, patience: float) -> None:
        """`patience`: seconds that transactions of the source have to end before a key is removed."""
        self._sides = sides
        self._saying = saying
        self._patience = patience
        self._waited = False

    async def mend(self, kinds: Mapping[Kind, Sequence[str]], *, remove_untracked: bool = False) -> Mended:
        """Say again what is missing, stale or corrupt; remove what the source confirms to be gone.

        What is ahead, quarantined or, unless asked for, untracked stays as it is.
        """
        done = Mended()
        for how in SAID_AGAIN:
            done = await self._in_chunks(done, kinds.get(how, ()), how)
        done = await self._in_chunks(done, kinds.get("orphan", ()), "orphan")
        if remove_untracked:
            done = await self._in_chunks(done, kinds.get("untracked", ()), "untracked")
        return done

    async def _in_chunks(self, done: Mended, keys: Sequence[str], how: Kind) -> Mended:
        for start in range(0, len(keys), CHUNK):
            some = list(keys[start : start + CHUNK])
            done = done.plus(await (self._say(some, how) if how in SAID_AGAIN else self._remove(some)))
        return done

    async def _say(self, keys: list[str], how: Kind) -> Mended:
        sides, backfill = self._sides, self._sides.backfill
        rows = await sides.rows(keys)
        if how in {"missing", "corrupt"}:
            await self._reopen({row["key"]: row["version"] for row in rows}, content=how == "corrupt")
            failpoints.reached("reconcile.reopened")
        upto, refused = await self._saying.rows(backfill, rows)
        failpoints.reached("reconcile.said")
        return Mended(len(rows) - len(refused), 0, refused, upto)

    async def _remove(self, keys: list[str]) -> Mended:
        sides = self._sides
        if self._waited:  # once is enough: another comparison removes the rest
            return Mended()
        version, open_ = await version_past_writers(sides.source, within=self._patience)
        if version is None:  # what it wrote may bring the row back
            self._waited = True
            log.warning("reconcile.writers_open", subject=sides.mirrored.subject, open=open_)
            return Mended(waited=open_)
        there = await sides.said(keys)
        gone = [key for key in keys if key not in there]
        appends = [one for key in gone for one in self._saying.entries(sides.backfill.gone(key), version)]
        return Mended(0, len(gone), {}, await self._saying.append(appends))

    async def _reopen(self, versions: Mapping[str, int], *, content: bool) -> None:
        """Let these versions through the gate once more: it holds them for applied.

        Newer versions and deletions stay as they are; without `content`, lines whose rows are there, too.
        """
        mirrored = self._sides.mirrored
        values = (self._sides.tenant, mirrored.app, mirrored.subject, list(versions), list(versions.values()))
        query = load(__file__, "reopen") if content else reopened(mirrored, self._sides.types)
        await self._sides.sink.execute(query, *values)
