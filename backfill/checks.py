"""What doctor asks of this project's syncs, beside its own checks."""

from __future__ import annotations

from collections.abc import AsyncIterator

from backfill.customer_sync.checks import checks as of_customers
from backfill.tenant_sync.checks import checks as of_tenants
from backfill.user_sync.checks import checks as of_users
from headwater.cli.checks import Finding
from headwater.config import Settings


async def checks(settings: Settings) -> AsyncIterator[Finding]:
    """One sync after the other."""
    for examine in (of_users, of_customers, of_tenants):
        async for finding in examine(settings):
            yield finding
