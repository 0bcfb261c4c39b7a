"""From deliveries to work: what is skipped, what can not be read, and in which order the rest is applied."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from headwater.database import Tx
from headwater.delivery import Consumer, Context
from headwater.delivery.consumer import Function
from headwater.delivery.work import Delivery, Work, by_step, for_function, for_upsert, sort_out
from headwater.publish import Said
from headwater.testing.controls import CODEC, GoodChanged, GoodRemoved, GoodSold, shelf, till

TENANT = "t1"


def changed(key: str, version: int, tenant: str = TENANT, **history: str) -> Work:
    event = GoodChanged(good_id=key, name=f"v{version}")
    envelope = Said(event, tenant, version).envelope("test", **history)
    return Work(Delivery("goods", f"{version}-0", CODEC.encode(envelope)), envelope)


def sold(name: str, **history: str) -> Work:
    said = Said(GoodSold(sale_id=name, good_id="g", amount=1), TENANT, operation_id=name)
    envelope = said.envelope("test", **history)
    return Work(Delivery("sales", "1-0", CODEC.encode(envelope)), envelope)


states = st.lists(
    st.builds(
        changed,
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 30),
        st.sampled_from(["t1", "t2"]),
    ),
    max_size=30,
)


def places(batch: Sequence[Work]) -> dict[tuple[str, str], int]:
    newest: dict[tuple[str, str], int] = {}
    for one in batch:
        place = (one.envelope.tenant, one.envelope.key)
        newest[place] = max(newest.get(place, 0), one.envelope.version or 0)
    return newest


@given(states)
def test_of_each_thing_the_newest_state_is_applied_and_things_are_locked_in_one_order(
    batch: list[Work],
) -> None:
    found = for_upsert(batch)

    assert [(one.tenant, one.key) for one in found] == sorted(places(batch))
    assert {(one.tenant, one.key): one.version for one in found} == places(batch)


@given(states)
def test_code_that_follows_states_sees_the_newest_of_each_thing_once(batch: list[Work]) -> None:
    consumer = Consumer("shelf")

    @consumer.on(GoodChanged)
    async def on_good_changed(event: GoodChanged, tx: Tx, context: Context) -> None: ...

    step = consumer.steps[0]
    assert isinstance(step, Function)

    found = for_function(batch, step)

    assert {(one.envelope.tenant, one.envelope.key): one.envelope.version for one in found} == places(batch)
    assert len(found) == len(places(batch))


@given(st.lists(st.sampled_from("abcdef"), max_size=20))
def test_code_that_follows_a_log_sees_each_event_once_in_the_order_of_the_stream(names: list[str]) -> None:
    step = till().steps[0]
    assert isinstance(step, Function)

    found = for_function([sold(name) for name in names], step)

    assert [one.envelope.key for one in found] == list(dict.fromkeys(names))


def test_effects_do_not_see_history_and_projections_do() -> None:
    consumer = Consumer("shelf")

    @consumer.on(GoodSold)
    async def project(event: GoodSold, tx: Tx, context: Context) -> None: ...

    @consumer.on(GoodSold, effect=True)
    async def mail(event: GoodSold, tx: Tx, context: Context) -> None: ...

    batch = [sold("now"), sold("past", target="shelf", job="j")]
    seen = [
        [one.envelope.key for one in for_function(batch, step)]
        for step in consumer.steps
        if isinstance(step, Function)
    ]

    assert seen == [["now", "past"], ["now"]]


def test_steps_run_in_the_order_of_their_declaration_whatever_the_order_of_the_entries() -> None:
    consumer = shelf()

    found = by_step([sold("s1"), changed("a", 1), sold("s2"), changed("b", 2)], consumer)

    assert list(found) == [0, 1]
    assert [one.envelope.key for one in found[1]] == ["s1", "s2"]


def test_what_is_for_others_is_skipped_before_it_is_read() -> None:
    mine, theirs, unwanted = sold("s1"), sold("s2", target="shelf", job="j"), changed("a", 1)
    spoiled = theirs.delivery._replace(fields={**theirs.delivery.fields, b"data": b"\xff"})

    found = sort_out([mine.delivery, spoiled, unwanted.delivery], till(), CODEC)

    assert [one.delivery for one in found.work] == [mine.delivery]
    assert found.skipped == [spoiled, unwanted.delivery]
    assert found.unreadable == []


def test_an_application_answers_to_its_older_names() -> None:
    consumer = Consumer("shelf", aliases=("shelfConnect",))

    @consumer.on(GoodSold)
    async def on_good_sold(event: GoodSold, tx: Tx, context: Context) -> None: ...

    old, other = sold("s1", target="shelfConnect", job="j"), sold("s2", target="till", job="j")

    found = sort_out([old.delivery, other.delivery], consumer, CODEC)

    assert [one.envelope.key for one in found.work] == ["s1"]
    assert found.skipped == [other.delivery]


def test_a_target_may_name_several_applications() -> None:
    one = sold("s1", target="till,shelf", job="j")

    assert len(sort_out([one.delivery], shelf(), CODEC).work) == 1
    assert len(sort_out([one.delivery], Consumer("crm"), CODEC).skipped) == 1


def test_one_entry_that_can_not_be_read_is_told_with_its_reason_and_the_others_are_read() -> None:
    good, bad = sold("s1"), sold("s2")
    spoiled = bad.delivery._replace(fields={**bad.delivery.fields, b"data": b"{"})

    found = sort_out([spoiled, good.delivery], shelf(), CODEC)

    assert [one.delivery for one in found.work] == [good.delivery]
    assert [(one, error.reason) for one, error in found.unreadable] == [(spoiled, "malformed")]


def test_a_deletion_goes_the_way_of_its_subject() -> None:
    envelope = Said(GoodRemoved(good_id="a"), TENANT, 9).envelope("test")
    delivery = Delivery("goods", "1-0", CODEC.encode(envelope))

    (work,) = sort_out([delivery], shelf(), CODEC).work

    assert list(by_step([work], shelf())) == [0]
    assert for_upsert([changed("a", 3), work])[0].op == "d"
