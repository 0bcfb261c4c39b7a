"""The existing CRM's reader, as documented: what a consumer that we can not change makes of an entry."""

from __future__ import annotations

import json
import math
from typing import Any

from headwater.event import Fields


def _number(text: str) -> float | int:
    """Numbers as JavaScript has them: an integer beyond 2^53 is rounded."""
    value = float(text)
    return int(value) if math.isfinite(value) and value.is_integer() else value


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_number)
    except ValueError:
        return text


def crm_reads(fields: Fields) -> dict[str, Any]:
    """JSON-parse every field, keep it raw where that fails; then spread `data` over the top level."""
    read = {name.decode(): _parse(value.decode()) for name, value in fields.items()}
    data = read.pop("data", None)
    read = {**read, **(data if isinstance(data, dict) else {})}
    if not read.get("eventType") and read.get("reason") == "application_allocation":
        read.update(eventType="credit.allocated", amount=read.get("availableCredits"))
    return read
