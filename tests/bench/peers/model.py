"""The event as FastStream's users declare one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from tests.bench.peers.job import FIELDS


class Good(BaseModel):
    event_id: str
    tenant: str
    good_id: str
    version: int
    name: str
    price: Decimal
    note: str | None


def row(good: Good) -> tuple[Any, ...]:
    return tuple(getattr(good, name) for name in FIELDS)
