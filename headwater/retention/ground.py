"""What retention works with, and how long each thing is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headwater.broker import Broker
from headwater.config import RetentionSettings
from headwater.database import Database
from headwater.retention import readers as known
from headwater.retention.holding import Keep
from headwater.retention.readers import Heard, Leases
from headwater.retention.trimming import Trimmed, Trimmer
from headwater.telemetry import Metrics
from headwater.topology import Catalogue, Stream


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """One system's servers, as far as they can be reached here."""

    broker: Broker
    catalogue: Catalogue
    source: Database
    sinks: Mapping[str, Database]
    """By application; one that is missing here is left alone."""
    metrics: Metrics | None = None

    @property
    def whole(self) -> bool:
        """Whether every declared application's database is among them."""
        return set(self.catalogue.groups) <= set(self.sinks)


def kept(catalogue: Catalogue, settings: RetentionSettings) -> dict[str, Keep]:
    """How much of each family is kept."""
    streams = catalogue.streams.items()
    return {name: Keep(seconds(one, settings), None, one.most, one.size) for name, one in streams}


def seconds(stream: Stream, settings: RetentionSettings) -> float:
    """How long entries of a family are kept at least."""
    if stream.retention is not None:
        return stream.retention
    named: float | None = getattr(settings, stream.kept_as)
    return settings.streams if named is None else named


class Trims(msgspec.Struct, frozen=True, kw_only=True):
    """What became of streams, and what is known of the groups on them."""

    streams: list[Trimmed]
    groups: dict[str, Heard]


async def trim(
    ground: Ground,
    keeps: Mapping[str, Keep],
    leases: Leases,
    *,
    only: Sequence[str] | None = None,
    dry: bool = False,
) -> Trims:
    """Trim every stream that is declared, or those of these keys.

    Raises BrokerUnavailable, BrokerRefused, DatabaseUnavailable.
    """
    catalogue = ground.catalogue
    families = {key: stream for key, (stream, _) in catalogue.all_keys().items()}
    found = await known.groups_of(ground.broker, list(families))
    heard = await known.hear((ground.broker, ground.source, ground.sinks), catalogue, found, leases)
    if not dry:
        await known.remember(ground.source, heard)
    aside = {key for app in catalogue.aside for key in catalogue.side_keys(app)}
    trimmer = Trimmer(ground.broker, ground.sinks, ground.metrics)
    done = []
    for key, stream in families.items():
        if key in found and (only is None or key in only):
            readers = known.readers(catalogue, key, found[key], heard)
            # Whoever wants history once more asks for another backfill.
            keep = keeps[stream.name]._replace(applied=key in aside)
            done.append(await trimmer.trim(key, keep, readers, dry=dry))
    if ground.metrics:
        for name, one in heard.items():
            ground.metrics.group_silent(name, one.silent, holds=one.holds)
    return Trims(streams=[one for one in done if one is not None], groups=heard)
