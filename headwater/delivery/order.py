"""What order means for a batch. Pure.

Of an ordered thing every event is applied, each after the one before it; what fails is stored with
all that comes behind it, so that a stream goes on and the thing's own line stays in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headwater.delivery.consumer import Consumer
from headwater.delivery.letters import Parked
from headwater.delivery.outcome import Ack, Outcome, Park, RetryAfter
from headwater.delivery.work import Delivery, Sorted, Work
from headwater.errors import EventError
from headwater.topology import Catalogue


def rounds(batch: Iterable[Work]) -> list[list[Work]]:
    """The batch in parts that have each thing once at most; a thing's events stay in order over the parts."""
    found: list[list[Work]] = []
    seen: dict[tuple[str, str], int] = {}
    for one in batch:
        thing = (one.envelope.tenant, one.envelope.key)
        turn = seen.get(thing, 0)
        seen[thing] = turn + 1
        if turn == len(found):
            found.append([])
        found[turn].append(one)
    return found


def stored(consumer: Consumer, found: Sorted, outcomes: Sequence[Outcome]) -> list[Parked]:
    """What goes into the dead letters, in the order of the stream where that counts."""
    parked = [Parked(delivery, unreadable(error)) for delivery, error in found.unreadable]
    for one, outcome in zip(found.work, outcomes, strict=True):
        if isinstance(outcome, Ack):
            continue
        ordered = consumer.ordered_thing(one.envelope) is not None
        if ordered or not isinstance(outcome, RetryAfter):
            parked.append(Parked(one.delivery, outcome, one.envelope, ordered))
    return parked


def delayed(
    consumer: Consumer, work: Sequence[Work], outcomes: Sequence[Outcome]
) -> list[tuple[Delivery, RetryAfter]]:
    """What stays pending until its next attempt: it may be overtaken."""
    return [
        (one.delivery, outcome)
        for one, outcome in zip(work, outcomes, strict=True)
        if isinstance(outcome, RetryAfter) and consumer.ordered_thing(one.envelope) is None
    ]


def streams(consumer: Consumer, catalogue: Catalogue) -> list[str]:
    """The keys that carry events of ordered subjects: each is read by one worker at a time."""
    group = catalogue.group(consumer.app)
    families = (catalogue.streams[name] for name in group.streams)
    return [
        key
        for family in families
        if any(consumer.is_ordered(event) for event in family.events)
        for key in (*catalogue.keys.partitions(family, app=group.app), *catalogue.sides(family, group.app))
    ]


def unreadable(error: EventError) -> Park:
    """What becomes of an entry that can not be decoded: nobody knows its thing, so nothing waits for it."""
    return Park(error.reason, str(error)[:500])
