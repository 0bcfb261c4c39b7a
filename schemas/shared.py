"""Kinds of values that events are made of: each with the bounds that every database here can hold.

Ids are texts, not UUID objects: nothing is parsed on the way that is not needed. Times carry a
zone. Amounts are Decimals and travel as JSON numbers, digit for digit. Integers stay within 2^53,
so that a JavaScript reader does not round them.
"""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from headwater.event.codec import finite

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
"""Identifies one thing: a UUID, in old data also another short text."""

Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""Identifies something by a name that another system made up."""

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A short name that people read: `crm`, `ORG_cae02c60`."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone; one without does not decode."""

Small = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""An integer of 32 bits."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of things, exact in every language."""

MAGNITUDE = 20
"""An amount has its first digit within this many places of the decimal point."""


def amounts(*values: Decimal | None) -> None:
    """Check amounts. Raises ValueError for NaN, the infinities and sizes no column holds."""
    for value in values:
        if value is not None and finite(value) and abs(value.adjusted()) > MAGNITUDE:
            raise ValueError(f"an amount has at most {MAGNITUDE} digits before or after the point")


def plain(value: Any) -> None:
    """Check free-form JSON. Raises ValueError for NaN and the infinities, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number ({value})")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        plain(part)


def at(text: str) -> datetime:
    """The time an ISO 8601 text names; for examples."""
    return datetime.fromisoformat(text)


TENANT = "7d0c3a52-4b0e-4c37-9a55-2f3f8c1f7a10"
ORGANIZATION = "cae02c60-77b2-4a0c-8d0e-0c3b1f1d2a01"
USER = "5b1f7c88-2f51-4d1b-9a34-6f0a7f2b9c02"
ROLE = "0f9a2b7e-6c43-4e5d-8a1b-3d2c4e5f6a03"
"""What the examples of all events agree on."""
