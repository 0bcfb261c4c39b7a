"""From deliveries to work: what to skip, what can not be read, what to apply. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from headwater.delivery.consumer import Consumer, Function
from headwater.errors import EventError
from headwater.event import Codec, Envelope, Fields
from headwater.event.codec import headers


class Delivery(NamedTuple):
    """One entry given to this worker, or a dead letter that is replayed."""

    stream: str
    entry: str
    fields: Fields
    letter: int = 0
    """The dead letter's id; 0 for entries of a stream."""


delivered = partial(tuple.__new__, Delivery)
"""A Delivery of all its parts, in half the time of the constructor."""


class Work(NamedTuple):
    """A delivery that was read and concerns this application."""

    delivery: Delivery
    envelope: Envelope


_work = partial(tuple.__new__, Work)
"""The same for Work."""


class Sorted(NamedTuple):
    """Deliveries by what happens to them."""

    work: list[Work]
    skipped: list[Delivery]
    unreadable: list[tuple[Delivery, EventError]]


def sort_out(deliveries: Iterable[Delivery], consumer: Consumer, codec: Codec) -> Sorted:
    """Skip by header fields alone what is for others; decode the rest, each on its own."""
    found = Sorted([], [], [])
    names = [name.encode() for name in consumer.names]
    ours = frozenset((b"*", *names))
    plainly = frozenset(("*", *consumer.names))
    steps_of = consumer.steps_of
    for delivery in deliveries:
        # Most entries are plainly ours: one look then spares the reading of their headers.
        if delivery.fields.get(b"target") not in ours and not any(
            map(headers(delivery.fields).concerns, names)
        ):
            found.skipped.append(delivery)
            continue
        try:
            envelope = codec.decode(delivery.fields)
        except EventError as error:
            found.unreadable.append((delivery, error))
            continue
        if steps_of(envelope.event.type) and (
            envelope.target in plainly or not consumer.names.isdisjoint(envelope.target.split(","))
        ):
            found.work.append(_work((delivery, envelope)))
        else:
            found.skipped.append(delivery)
    return found


def for_upsert(batch: Sequence[Work]) -> list[Envelope]:
    """The newest state of each thing, sorted by tenant and key: one lock order for every worker."""
    newest: dict[tuple[str, str], Envelope] = {}
    for _, envelope in batch:
        place = (envelope.tenant, envelope.key)
        known = newest.get(place)
        if known is None or (known.version or 0) < (envelope.version or 0):
            newest[place] = envelope
    return [newest[place] for place in sorted(newest)]


def for_function(batch: Sequence[Work], step: Function) -> list[Work]:
    """What a function has to look at: the newest state of each key, or each tenant's ids once, in order."""
    wanted = [one for one in batch if step.historical or not one.envelope.historical]
    if not step.gated:
        return list({(one.envelope.tenant, one.envelope.id): one for one in wanted}.values())
    newest: dict[tuple[str, str], Work] = {}
    for one in wanted:
        place = (one.envelope.tenant, one.envelope.key)
        if place not in newest or (newest[place].envelope.version or 0) < (one.envelope.version or 0):
            newest[place] = one
    return [newest[place] for place in sorted(newest)]


def by_step(work: Iterable[Work], consumer: Consumer) -> dict[int, list[Work]]:
    """Work for each step, in the order the steps were declared: one table order for every worker."""
    found: dict[int, list[Work]] = {}
    steps_of = consumer.steps_of
    for one in work:
        for place in steps_of(one.envelope.event.type):
            found.setdefault(place, []).append(one)
    return dict(sorted(found.items()))
