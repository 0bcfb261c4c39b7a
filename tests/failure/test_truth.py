"""The checker of the failure tests finds every kind of defect, and none where there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.failure.truth import Held, Place, Truth, Verdict, check, text_of

KEYS = tuple("abcd")
GOODS = st.dictionaries(
    st.tuples(st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(KEYS)),
    st.one_of(st.none(), st.integers(1, 9)),
    min_size=2,
    max_size=9,
)
SALES = st.sets(
    st.tuples(st.sampled_from(["t1", "t2", "t3"]), st.integers(0, 9).map("s{}".format)), min_size=1
)
Defect = Callable[[Truth, Held], Held]


def perfect(truth: Truth) -> Held:
    return Held(
        goods={place: text for place, text in truth.goods.items() if text is not None},
        sales=Counter(truth.sales),
        sold=dict(truth.sold),
        letters=Counter(truth.bad),
    )


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    said = draw(GOODS)
    goods = {place: None if number is None else text_of(*place, number) for place, number in said.items()}
    goods |= {("t1", "kept"): text_of("t1", "kept", 2), ("t1", "gone"): None}
    sales = draw(SALES)
    sold = Counter({(tenant, "count"): amount for tenant, amount in Counter(t for t, _ in sales).items()})
    return Truth(goods, sales, sold, {("t1", "bad")})


def first_sale(held: Held) -> Place:
    return min(held.sales)


def change(held: Held, **parts: object) -> Held:
    return Held(
        **{"goods": held.goods, "sales": held.sales, "sold": held.sold, "letters": held.letters} | parts
    )  # type: ignore[arg-type]


def without_good(truth: Truth, held: Held) -> Held:
    return change(held, goods={place: text for place, text in held.goods.items() if place != ("t1", "kept")})


def without_sale(truth: Truth, held: Held) -> Held:
    return change(held, sales=Counter({k: n for k, n in held.sales.items() if k != first_sale(held)}))


def counted_too_little(truth: Truth, held: Held) -> Held:
    place = min(held.sold)
    return change(held, sold=held.sold | {place: held.sold[place] - 1})


def without_letter(truth: Truth, held: Held) -> Held:
    return change(held, letters=Counter())


def written_twice(truth: Truth, held: Held) -> Held:
    return change(held, sales=held.sales + Counter([first_sale(held)]))


def counted_twice(truth: Truth, held: Held) -> Held:
    place = min(held.sold)
    return change(held, sold=held.sold | {place: held.sold[place] + 1})


def older(truth: Truth, held: Held) -> Held:
    return change(held, goods=held.goods | {("t1", "kept"): text_of("t1", "kept", 1)})


def back_again(truth: Truth, held: Held) -> Held:
    return change(held, goods=held.goods | {("t1", "gone"): text_of("t1", "gone", 1)})


def another_tenants_text(truth: Truth, held: Held) -> Held:
    return change(held, goods=held.goods | {("t1", "kept"): text_of("t2", "kept", 2)})


def another_tenants_row(truth: Truth, held: Held) -> Held:
    return change(held, goods=held.goods | {("t9", "kept"): text_of("t9", "kept", 2)})


def another_tenants_sale(truth: Truth, held: Held) -> Held:
    return change(held, sales=held.sales + Counter([("t9", "s1")]))


DEFECTS: list[tuple[str, Defect]] = [
    *[("lost", defect) for defect in (without_good, without_sale, counted_too_little, without_letter)],
    *[("doubled", defect) for defect in (written_twice, counted_twice)],
    ("stale", older),
    ("resurrected", back_again),
    *[("crossed", defect) for defect in (another_tenants_text, another_tenants_row, another_tenants_sale)],
]


@given(truths())
def test_what_is_held_as_it_was_said_is_not_complained_of(truth: Truth) -> None:
    assert check(truth, perfect(truth)) == Verdict()
    assert not check(truth, perfect(truth))


@pytest.mark.parametrize(("kind", "defect"), DEFECTS, ids=lambda one: getattr(one, "__name__", one))
def test_each_defect_is_found_and_is_of_its_kind(kind: str, defect: Defect) -> None:
    @settings(max_examples=15)
    @given(truths())
    def found(truth: Truth) -> None:
        verdict = check(truth, defect(truth, perfect(truth)))
        assert verdict
        assert {name for name, count in verdict.counts().items() if count} == {kind}

    found()


APART = {
    "lost": without_letter,
    "doubled": counted_twice,
    "stale": older,
    "resurrected": back_again,
    "crossed": another_tenants_row,
}


@given(truths(), st.sets(st.sampled_from(sorted(APART))))
def test_several_defects_hide_none_of_each_other(truth: Truth, kinds: set[str]) -> None:
    held = perfect(truth)
    for kind in kinds:
        held = APART[kind](truth, held)

    assert {name for name, count in check(truth, held).counts().items() if count} == kinds
