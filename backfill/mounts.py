"""What the admin interface serves of this project's syncs, beside the historical one."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from backfill.customer_sync.mounts import mounts as of_customers
from backfill.tenant_sync.mounts import mounts as of_tenants
from headwater.cli.wiring import Wiring


async def mounts(wiring: Wiring) -> Mapping[str, web.Application]:
    """Applications by the prefix of their paths."""
    return {**await of_customers(wiring), **await of_tenants(wiring)}
