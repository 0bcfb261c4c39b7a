"""What a runner of backfill jobs works with."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headwater.broker import Broker
from headwater.database import Database
from headwater.errors import HeadwaterError
from headwater.publish import REALM, Outgoing
from headwater.replay.backfill import Backfill
from headwater.replay.digest import Mirrored
from headwater.replay.jobs import LEASE
from headwater.replay.pacing import Hours


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner works with."""

    source: Database
    broker: Broker
    outgoing: Outgoing
    backfills: tuple[Backfill, ...]
    mirrored: Mapping[str, Mapping[str, Mirrored]]
    """By application and subject."""
    sinks: Mapping[str, Database]
    """The applications' databases, for comparing."""
    chunk: int = 1000
    window: int = 500
    settle: float = 1.0
    """Seconds between enabling an application and the first read, for direct producers' memory of it."""
    service: str = "backfill"
    """Who speaks, as it stands in the envelopes."""
    realm: str = REALM
    """Stands where a tenant would, for subjects that belong to none."""
    rate: int | None = None
    """Most rows a second of one job; None: no limit."""
    quiet: Hours | None = None
    """Hours of the day in which nothing is appended."""
    lease: float = LEASE
    """Seconds after which a silent runner's job is taken over."""
    patience: float = 60.0
    """Seconds that transactions of the source have to end before a job removes rows."""
    jobs_at_once: int | None = None
    """Most jobs of the source in the hands of runners, in all processes; None: no limit."""

    def backfill(self, subject: str) -> Backfill:
        """The backfill of a subject. Raises HeadwaterError."""
        for one in self.backfills:
            if one.subject == subject:
                return one
        raise HeadwaterError(f"no backfill of {subject!r} is declared")
