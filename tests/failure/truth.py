"""What an application must hold in the end, and the one pure comparison with what it does hold.

Nothing here can mask a loss by a later change: goods that are said once, sales that are written down
and counted without a key that would refuse a second, chains of versions on few keys, removals whose
late copies lie in wait, the same ids in every tenant, and entries that must end as dead letters.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

Place = tuple[str, str]
"""(tenant, key)."""


def text_of(tenant: str, key: str, number: int) -> str:
    """What a good is called in its version `number`: tells whose it is."""
    return f"{tenant}/{key}/{number}"


def owner(text: str) -> Place:
    """Whose a good's text is."""
    tenant, key, _ = text.split("/")
    return tenant, key


@dataclass
class Truth:
    """What was said so far."""

    goods: dict[Place, str | None] = field(default_factory=dict)
    """The last text of each good; None when it was removed last."""
    sales: set[Place] = field(default_factory=set)
    sold: Counter[Place] = field(default_factory=Counter)
    """The sum of the amounts, by (tenant, good)."""
    bad: set[Place] = field(default_factory=set)
    """Sales that no handler can take."""


class Held(msgspec.Struct, frozen=True):
    """What the application's database holds."""

    goods: dict[Place, str] = {}
    sales: Counter[Place] = Counter()
    """How often each sale is written down."""
    sold: dict[Place, int] = {}
    letters: Counter[Place] = Counter()


class Verdict(msgspec.Struct, frozen=True):
    """What is wrong, by kind; true when something is."""

    lost: frozenset[Place] = frozenset()
    doubled: frozenset[Place] = frozenset()
    stale: frozenset[Place] = frozenset()
    resurrected: frozenset[Place] = frozenset()
    crossed: frozenset[Place] = frozenset()
    """Of another tenant, or said by nobody."""

    def __bool__(self) -> bool:
        return any(self.counts().values())

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind: len(getattr(self, kind)) for kind in self.__struct_fields__}


def check(truth: Truth, held: Held) -> Verdict:
    """Compare; every difference is of exactly one kind for its place."""
    living = {place: text for place, text in truth.goods.items() if text is not None}
    removed = truth.goods.keys() - living.keys()
    foreign = {place for place, text in held.goods.items() if owner(text) != place}
    known = truth.goods.keys() | truth.sales | truth.sold.keys() | truth.bad
    here = held.goods.keys() | held.sales.keys() | held.sold.keys() | held.letters.keys()
    crossed = foreign | (here - known)
    wrong = {place for place in living.keys() & held.goods.keys() if living[place] != held.goods[place]}
    sums = {place: held.sold.get(place, 0) - amount for place, amount in truth.sold.items()}
    again = {place for place, times in held.sales.items() if times > 1}
    return Verdict(
        lost=frozenset(
            (living.keys() - held.goods.keys())
            | (truth.sales - held.sales.keys())
            | {place for place, more in sums.items() if more < 0}
            | (truth.bad - held.letters.keys())
        ),
        doubled=frozenset(again | {place for place, more in sums.items() if more > 0}),
        stale=frozenset(wrong - crossed),
        resurrected=frozenset((removed & held.goods.keys()) - crossed),
        crossed=frozenset(crossed),
    )
