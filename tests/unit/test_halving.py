"""A batch with bad entries: which are found, what the others suffer, and what is asked of locks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery import Consumer
from headwater.delivery.halving import Halving, TablesUnfit, TakenOut
from headwater.delivery.outcome import Ack, Limits, Outcome, Park, RetryAfter
from headwater.delivery.work import Delivery, Work
from headwater.errors import DatabaseUnavailable, Reject, Retry
from headwater.publish import Said
from headwater.testing.controls import GoodSold, till


def sold(number: int) -> Work:
    said = Said(GoodSold(sale_id=str(number), good_id="g", amount=1), "t1", operation_id=str(number))
    return Work(Delivery("sales", f"{number}-0", {}), said.envelope("test"))


class Table:
    """Takes a batch or refuses it, as a database does: a bad entry spoils all that comes with it."""

    def __init__(self, bad: dict[str, Exception], *, answers: bool = False) -> None:
        self.bad = bad
        self.answers = answers
        self.applied: list[str] = []
        self.attempts = 0

    async def apply(self, work: Sequence[Work]) -> None:
        self.attempts += 1
        spoiled = {id(one): self.bad[one.envelope.key] for one in work if one.envelope.key in self.bad}
        if spoiled and self.answers:
            raise TakenOut(spoiled)
        if spoiled:
            raise next(iter(spoiled.values()))
        self.applied += [one.envelope.key for one in work]


def settle(table: Table, work: Sequence[Work], consumer: Consumer | None = None) -> list[Outcome]:
    halving = Halving(table.apply, consumer or till(), Limits(), {}, set())
    return asyncio.run(halving.settle(work))


@given(st.integers(1, 60), st.sets(st.integers(0, 59)), st.booleans())
def test_each_bad_entry_costs_only_itself(size: int, bad: set[int], answers: bool) -> None:
    table = Table({str(number): Reject("no") for number in bad if number < size}, answers=answers)

    outcomes = settle(table, [sold(number) for number in range(size)])

    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Park if number in bad else Ack)
    assert table.applied == [str(number) for number in range(size) if number not in bad]


@given(st.integers(1, 1000), st.integers(0, 999))
def test_one_bad_entry_is_found_in_about_twice_the_logarithm_of_attempts(size: int, bad: int) -> None:
    table = Table({str(bad % size): Retry()})

    settle(table, [sold(number) for number in range(size)])

    assert table.attempts <= 2 * size.bit_length() + 1


@given(st.integers(1, 300), st.sets(st.integers(0, 299), min_size=1))
def test_what_a_batch_handler_takes_out_costs_one_more_attempt(size: int, bad: set[int]) -> None:
    table = Table({str(number): Reject("no") for number in bad if number < size}, answers=True)

    settle(table, [sold(number) for number in range(size)])

    assert table.attempts <= 2


@given(st.integers(1, 1000), st.integers(0, 999))
def test_one_locked_row_holds_up_one_entry_and_is_not_counted(size: int, locked: int) -> None:
    table = Table({str(locked % size): asyncpg.LockNotAvailableError("held")})

    outcomes = settle(table, [sold(number) for number in range(size)])

    late = [number for number, outcome in enumerate(outcomes) if outcome != Ack()]
    assert late == [locked % size]
    outcome = outcomes[late[0]]
    assert isinstance(outcome, RetryAfter)
    assert outcome.failures == 0


@given(st.integers(300, 1000))
def test_a_locked_table_is_waited_for_and_not_asked_for_every_entry(size: int) -> None:
    table = Table({str(number): asyncpg.LockNotAvailableError("held") for number in range(size)})

    with pytest.raises(DatabaseUnavailable):
        settle(table, [sold(number) for number in range(size)])

    assert table.attempts <= 2 * size.bit_length() + 5


def test_a_lost_race_is_run_again_by_the_whole_batch_a_few_times_and_by_its_parts_once() -> None:
    table = Table({"3": asyncpg.DeadlockDetectedError("ring")})

    outcomes = settle(table, [sold(number) for number in range(8)])

    assert [isinstance(outcome, Ack) for outcome in outcomes] == [number != 3 for number in range(8)]
    assert table.attempts == 5 + 2 * 3


def test_a_missing_table_is_nobodys_outcome() -> None:
    table = Table({"1": asyncpg.UndefinedTableError("no such table")})

    with pytest.raises(TablesUnfit):
        settle(table, [sold(0), sold(1)])


def test_nothing_to_apply_is_no_attempt() -> None:
    table = Table({})

    assert settle(table, []) == []
    assert table.attempts == 0
