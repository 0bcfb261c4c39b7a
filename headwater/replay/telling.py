"""What a job says: rows of the source as historical events, for one application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headwater.broker.protocol import Append
from headwater.database import Row
from headwater.errors import EventError
from headwater.event import Event
from headwater.publish import Said
from headwater.replay.backfill import Backfill
from headwater.replay.jobs import Job, Step
from headwater.replay.ways import Ways


class Telling:
    """Makes the entries of one job; appends nothing."""

    def __init__(self, ways: Ways, job: Job) -> None:
        self._ways = ways
        self._job = job
        self._correlation = f"sync-{job.tenant}-{job.id}"

    def rows(self, backfill: Backfill, rows: Sequence[Row], *, report: bool) -> tuple[list[Append], Step]:
        """Entries of rows, in order; a row that can not be said is counted and reported, not fatal.

        `report`: whether rows that can be said stand in the step's details, too.
        """
        appends: list[Append] = []
        details: list[dict[str, Any]] = []
        refused: dict[str, str] = {}
        for row in rows:
            try:
                appends += self.entries(backfill.event(row), row["version"])
                error = None
            except (EventError, ValueError, TypeError, KeyError) as problem:
                refused[row["key"]] = error = f"{type(problem).__name__}: {problem}"[:300]
            if error:
                name, value = next(iter(backfill.detail(row).items()))
                details.append({name: value, "status": "failed", "error": error})
            elif report:
                details.append({**backfill.detail(row), "status": "synced"})
        published = len(rows) - len(refused)
        return appends, Step(read=len(rows), published=published, refused=refused, details=details)

    def entries(self, event: Event, version: int | None) -> list[Append]:
        """The entries of one event. Raises EventError."""
        job, ways = self._job, self._ways
        said = Said(event, job.tenant, version, correlation=self._correlation)
        envelope = said.envelope(ways.service, realm=ways.realm, target=job.app, job=job.id)
        return ways.outgoing.appends(envelope, ())
