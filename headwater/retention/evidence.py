"""What the servers say of copies that may still arrive.

Asked against the way that copies go: streams, dead letters, backfills, the outbox last. Whatever moves on
meanwhile is seen at one of them: a row stays in the outbox when its event is on a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from headwater.broker import Broker, EntryId
from headwater.broker.entry import pairs
from headwater.database import Database, load
from headwater.errors import GroupMissing, HeadwaterError
from headwater.retention.horizon import Age, Carriers, Horizon, horizon
from headwater.topology import Catalogue


async def look(source: Database) -> Age | None:
    """How old the oldest thing in the outbox is now; None: somebody says one whose age can not be seen."""
    row = await source.fetchrow(load(__file__, "outbox_age"))
    if row is None:
        raise HeadwaterError("the source did not tell its time")
    return None if row["said"] is None else Age(row["at"], row["said"])


async def remember(source: Database, age: Age) -> None:
    """Keep a look: it bounds what stands in entries that are appended from now on."""
    await source.execute(load(__file__, "keep_age"), *age)


async def horizons(
    broker: Broker, catalogue: Catalogue, source: Database, sinks: Mapping[str, Database]
) -> dict[str, Horizon]:
    """For each application whose database is given. Raises BrokerUnavailable, DatabaseUnavailable."""
    found = {}
    for app, sink in sinks.items():
        entries = [await oldest_entry(broker, catalogue.keys_of(app))]
        entries.append(await sink.fetchval(load(__file__, "oldest_letter"), app))
        entry = min((one for one in entries if one is not None), default=None)
        job = await source.fetchval(load(__file__, "oldest_job"), app, entry)
        now = await look(source)
        rows = [] if entry is None else await source.fetch(load(__file__, "age_before"), entry)
        ages = [Age(row["at"], row["said"]) for row in rows]
        found[app] = horizon(Carriers(now and now.said, entry, job), ages)
    return found


async def oldest_entry(broker: Broker, keys: list[str]) -> datetime | None:
    """When the first entry that any of the streams still has was appended, by Redis's clock."""
    firsts = []
    for reply in await broker.ask([("XINFO", "STREAM", key) for key in keys]):
        if isinstance(reply, GroupMissing):
            continue
        if isinstance(reply, HeadwaterError):
            raise reply
        if first := pairs(reply).get("first-entry"):
            firsts.append(EntryId.parse(first[0]).milliseconds)
    return None if not firsts else datetime.fromtimestamp(min(firsts) / 1000, UTC)


async def outbox_holds(source: Database, sinks: Mapping[str, Database], seconds: float) -> datetime | None:
    """Rows published since then may be needed by an open gap, or a run that says rows again; None: by nobody.

    What nobody has moved for so many seconds holds nothing any more.
    """
    found = [await source.fetchval(load(__file__, "republish_since"), seconds)]
    for app, sink in sinks.items():
        found.append(await sink.fetchval(load(__file__, "gap_since"), app, seconds))
    return min((one for one in found if one is not None), default=None)
