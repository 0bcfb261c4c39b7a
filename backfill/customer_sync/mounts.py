"""The customer sync's endpoints beside others: what `headwater admin` serves of it."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from backfill.customer_sync.endpoints import PREFIX
from backfill.customer_sync.figures import Figures
from backfill.customer_sync.service import application, keys_of
from backfill.customer_sync.system import Sides
from headwater.cli.wiring import Wiring


async def mounts(wiring: Wiring) -> Mapping[str, web.Application]:
    """The sides whose databases are named here, by the prefix of their paths; nothing without a key."""
    sides = Sides(wiring)
    if not sides.here or wiring.settings.customer_sync.encryption_key is None:
        return {}
    figures = Figures(wiring.metrics)
    services = [await sides.service(side, figures) for side in sides.here]
    return {PREFIX: application(services, keys_of(wiring.settings))}
