"""Chance of a story: ids, names and amounts, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")

FIRST = (
    "Ada",
    "Alan",
    "Barbara",
    "Edsger",
    "Grace",
    "Hedy",
    "John",
    "Katherine",
    "Leslie",
    "Margaret",
    "Tony",
)
LAST = (
    "Byron",
    "Turing",
    "Liskov",
    "Dijkstra",
    "Hopper",
    "Lamarr",
    "Backus",
    "Johnson",
    "Lamport",
    "Hamilton",
    "Hoare",
)
PLACES = ("North", "South", "East", "West", "Coast", "Valley", "Harbour", "Mill", "Bridge", "Spring")
TRADES = ("Works", "Trading", "Labs", "Logistics", "Foundry", "Press", "Studios", "Mills")
INDUSTRIES = ("Manufacturing", "Shipping", "Publishing", "Research", "Retail")


class Dice:
    """Rolls."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def id(self) -> UUID:
        """A new id."""
        return UUID(int=self._random.getrandbits(128), version=4)

    def choice(self, options: Sequence[T]) -> T:
        """One of them."""
        return self._random.choice(options)

    def weighted(self, options: Sequence[T], weights: Sequence[int]) -> T:
        """One of them, the heavier ones more often."""
        return self._random.choices(options, weights)[0]

    def company(self) -> str:
        """A name of an organization."""
        return f"{self.choice(PLACES)} {self.choice(TRADES)}"

    def credits(self) -> Decimal:
        """Some credits, with the four decimal places that the wrapper keeps."""
        return Decimal(self._random.randrange(10_000, 1_000_000)) / 10_000
