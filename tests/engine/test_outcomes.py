"""What becomes of a delivery that fails: it comes again or is parked, and only that one."""

from __future__ import annotations

import asyncio

from headwater.clock import monotonic
from headwater.config import DatabaseSettings
from headwater.database import Database, Tx
from headwater.delivery import Consumer, Context, Limits
from headwater.errors import Reject, Retry
from headwater.patience import pause
from headwater.testing import until
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import SALES, letters, put, sale, settled, sold_by


class Stubborn:
    """A handler that fails for one sale as often as it is told, and notes when it was asked.

    In a batch it is asked more than once an attempt, until it is found out; alone, once.
    """

    def __init__(self, fail: int, error: Exception | None = None) -> None:
        self.fail = fail
        self.error = error or RuntimeError("not today")
        self.asked: list[float] = []
        self.entries: set[str] = set()

    async def __call__(self, event: GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id == "hard":
            self.asked.append(monotonic())
            self.entries.add(context.entry)
            if len(self.asked) <= self.fail:
                raise self.error
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    def consumer(self) -> Consumer:
        return sold_by(self)


async def test_a_failure_that_passes_is_tried_again_on_the_same_entry_and_holds_up_nobody(shop: Shop) -> None:
    hard = Stubborn(fail=1000)
    worker = shop.start(shop.worker(hard.consumer(), limits=Limits(attempts=50, first=0.1, longest=0.2)))
    (entry, *_) = await put(shop, sale(shop, "hard"), *(sale(shop, f"s{n}") for n in range(5)))

    async def others() -> bool:
        return await shop.sales() == [f"s{n}" for n in range(5)]

    await until(others)
    await until(lambda: worker.statistics()["retried"] >= 3)
    hard.fail = 0
    await until(lambda: settled(shop))

    assert await shop.sales() == ["hard", *(f"s{n}" for n in range(5))]
    assert hard.entries == {entry}
    assert len(await shop.broker.range(shop.key(SALES))) == 6
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.failure") == 0


async def test_each_pause_is_longer_than_the_one_before(shop: Shop) -> None:
    hard = Stubborn(fail=9)
    shop.start(shop.worker(hard.consumer(), limits=Limits(attempts=4, first=0.1, longest=60.0)))
    await put(shop, sale(shop, "hard"))
    await until(lambda: settled(shop))

    pauses = [later - sooner for sooner, later in zip(hard.asked, hard.asked[1:], strict=False)]

    # At random between half and the whole of 0.1, 0.2, 0.4 s.
    assert [pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True)] == [True] * 3
    assert await letters(shop) == {"hard": "exhausted"}


async def test_failures_are_not_forgotten_over_a_restart(shop: Shop) -> None:
    first = Stubborn(fail=9)
    limits = Limits(attempts=3, first=0.05, longest=0.05)
    waiting = Limits(attempts=3, first=30.0, longest=30.0)
    worker = shop.start(shop.worker(first.consumer(), limits=waiting))
    await put(shop, sale(shop, "hard"))
    await until(lambda: worker.statistics()["waiting"] == 1)
    await shop.stop(worker)
    await shop.sink.execute("UPDATE headwater.failure SET retry_at = now()")

    second = Stubborn(fail=9)
    shop.start(shop.worker(second.consumer(), limits=limits))
    await until(lambda: settled(shop))

    assert (len(first.asked), len(second.asked)) == (1, 2)
    row = await shop.sink.fetchrow("SELECT reason, failures FROM headwater.dead_letter")
    assert row is not None
    assert tuple(row) == ("exhausted", 3)


async def test_an_entry_keeps_waiting_over_a_restart(shop: Shop) -> None:
    hard = Stubborn(fail=1)
    limits = Limits(attempts=3, first=2.0, longest=2.0)
    worker = shop.start(shop.worker(hard.consumer(), limits=limits))
    await put(shop, sale(shop, "hard"))
    await until(lambda: worker.statistics()["waiting"] == 1)
    failed = hard.asked[0]
    await shop.stop(worker)

    worker = shop.start(shop.worker(hard.consumer(), name="w2", limits=limits))
    await until(lambda: settled(shop))

    assert hard.asked[1] - failed >= 1.0
    assert await shop.sales() == ["hard"]


async def test_a_rejected_event_is_parked_at_once(shop: Shop) -> None:
    hard = Stubborn(fail=9, error=Reject("we do not sell that"))
    shop.start(shop.worker(hard.consumer()))
    await put(shop, sale(shop, "hard"), sale(shop, "s1"))

    await until(lambda: settled(shop))

    assert len(hard.asked) <= 2
    assert await letters(shop) == {"hard": "rejected"}
    assert await shop.sales() == ["s1"]


async def test_a_handler_may_say_when_it_wants_the_event_again(shop: Shop) -> None:
    hard = Stubborn(fail=1, error=Retry(after=0.4))
    shop.start(shop.worker(hard.consumer(), limits=Limits(attempts=3, first=30.0, longest=30.0)))
    await put(shop, sale(shop, "hard"))

    await until(lambda: settled(shop))

    assert 0.4 <= hard.asked[1] - hard.asked[0] < 5.0
    assert await shop.sales() == ["hard"]


async def test_a_service_that_a_handler_can_not_reach_is_no_outage_of_the_application(shop: Shop) -> None:
    """Mail servers refuse connections; that is a failure of one delivery, and the others go on."""
    for error in (ConnectionRefusedError("mail is down"), TimeoutError("mail is slow")):
        hard = Stubborn(fail=99, error=error)
        worker = shop.start(shop.worker(hard.consumer(), limits=Limits(attempts=2, first=0.05, longest=0.05)))
        name = f"s-{type(error).__name__}"
        await put(shop, sale(shop, "hard"), sale(shop, name))

        async def applied(name: str = name) -> bool:
            return name in await shop.sales() and await shop.pending() == 0

        await until(applied)
        assert worker.ready
        await shop.stop(worker)

    assert await letters(shop) == {"hard": "exhausted"}


async def test_a_constraint_that_an_event_breaks_is_its_own_fault(shop: Shop) -> None:
    shop.start(shop.worker())
    await put(shop, sale(shop, "bad", behave="bad-sql"), sale(shop, "good"))

    await until(lambda: settled(shop))

    assert await letters(shop) == {"bad": "sqlstate_23502"}
    assert await shop.sales() == ["good"]


async def test_nothing_of_a_failed_attempt_is_left(shop: Shop) -> None:
    async def half(event: GoodSold, tx: Tx, context: Context) -> None:
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)
        raise Reject("after writing")

    shop.start(shop.worker(sold_by(half)))
    await put(shop, sale(shop, "s1"))

    await until(lambda: settled(shop))

    assert await shop.sales() == []
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 0


async def test_what_an_error_says_is_kept_without_the_values_of_the_row(shop: Shop) -> None:
    address = "mary@example.org"

    async def leak(event: GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id == "unfit":
            await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', $3)", "x", context.tenant, address)
        await tx.execute("INSERT INTO sales VALUES ($1, $2, NULL, 1)", address, context.tenant)

    shop.start(shop.worker(sold_by(leak)))
    await put(shop, sale(shop, "unfit"), sale(shop, "null"))

    await until(lambda: settled(shop))

    errors = [row["error"] for row in await shop.sink.fetch("SELECT error FROM headwater.dead_letter")]
    assert len(errors) == 2
    assert not [error for error in errors if address in error]


async def test_an_error_with_odd_text_is_parked_like_any_other(shop: Shop) -> None:
    hard = Stubborn(fail=9, error=Reject("a\x00b \ud800 c"))
    shop.start(shop.worker(hard.consumer()))
    await put(shop, sale(shop, "hard"))

    await until(lambda: settled(shop))

    assert await letters(shop) == {"hard": "rejected"}


async def test_a_handler_that_never_returns_costs_only_its_own_entry(shop: Shop) -> None:
    async def handle(event: GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id.startswith("hung"):
            await asyncio.Event().wait()
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    shop.start(shop.worker(sold_by(handle), limits=Limits(attempts=2, first=0.05, longest=0.1, handler=0.2)))
    await put(shop, sale(shop, "hung1"), sale(shop, "fine1"), sale(shop, "hung2"), sale(shop, "fine2"))
    await until(lambda: settled(shop))

    assert await shop.sales() == ["fine1", "fine2"]
    assert await letters(shop) == {"hung1": "exhausted", "hung2": "exhausted"}


async def test_handlers_that_ask_the_database_nothing_for_long_keep_their_transaction(shop: Shop) -> None:
    names = [f"s{number}" for number in range(8)]

    async def slow(event: GoodSold, tx: Tx, context: Context) -> None:
        await pause(asyncio.Event(), 0.3)  # somebody else's HTTP interface
        if event.sale_id == names[-1]:
            for name in names:
                await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", name, context.tenant)

    sink = await Database.open(shop.sink.url, limits=DatabaseSettings(idle_in_transaction=1.2))
    try:
        await put(shop, *(sale(shop, name) for name in names))
        limits = Limits(attempts=3, first=0.05, longest=0.2, handler=1.0)
        worker = shop.start(shop.worker(sold_by(slow), sink=sink, limits=limits))
        await until(lambda: settled(shop))
        assert await shop.sales() == names
        assert worker.last_error == ""
        await shop.stop(worker)
    finally:
        await sink.close()
