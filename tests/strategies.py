"""Events out of thin air: any event that its own declaration allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from headwater.event import Envelope, Event, event_id
from schemas import registry
from schemas.shared import TENANT

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
"""Every character that both JSON and Postgres know."""
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001
amounts = st.decimals(min_value=-(10**11), max_value=10**11, places=4)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def _of(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - one case a kind
    match kind:
        case inspect.UnionType(types=types):
            return st.one_of(*map(_of, types))
        case inspect.NoneType():
            return st.none()
        case inspect.StrType(min_length=int() as least, max_length=most):
            return texts.filter(lambda text: least <= len(text) <= (most or 99))
        case inspect.StrType():
            return texts
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.DecimalType():
            return amounts
        case inspect.DateTimeType():
            return instants
        case inspect.VarTupleType(item_type=item):
            return st.lists(_of(item), max_size=4).map(tuple)
        case inspect.DictType():
            return st.dictionaries(texts, json_values, max_size=3)
        case inspect.AnyType():
            return json_values
    raise TypeError(f"no strategy for {kind}")


def _events_of(event: type[Event]) -> st.SearchStrategy[Event]:
    described = inspect.type_info(event)
    assert isinstance(described, inspect.StructType)
    fields = {field.name: _of(field.type) for field in described.fields}
    if event.type == "credit.allocated":
        fields["is_active"] = st.just(False)
        active = {**fields, "is_active": st.just(True)}
        active.update(source_entity_id=fields["allocation_id"], target_application=st.just("crm"))
        return st.builds(event, **fields) | st.builds(event, **active)
    return st.builds(event, **fields)


events: st.SearchStrategy[Event] = st.one_of(
    *(_events_of(event) for event in registry if not event.read_only)
)
"""Every event that may be published."""


def wrapped(event: Event, version: int = 7 << 48, *, historical: bool = False) -> Envelope:
    """An event on its way."""
    return Envelope(
        id=event_id(event.type, TENANT, event.key, version),
        event=event,
        tenant=TENANT,
        time="2026-04-05T06:07:08.009Z",
        source="wrapper",
        version=version,
        op=event.op,
        target=event.target,
        historical=historical,
        correlation="org_ORG_1_1795325769100",
    )


def is_number(value: object) -> bool:
    """Whether a value is a number and no boolean."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
