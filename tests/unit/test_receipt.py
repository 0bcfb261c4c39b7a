"""A receipt survives its way through a client as one word, and nothing else passes for one."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import EventError
from headwater.publish import Receipt
from tests.strategies import texts

names = texts | st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper())
receipts = st.builds(
    Receipt,
    event_id=names,
    tenant=names,
    subject=st.sampled_from(["goods", "sales"]),
    key=names,
    version=st.none() | st.integers(0, 2**63 - 1),
    state=st.booleans(),
)


@given(receipts)
def test_a_token_is_read_back_as_what_it_was_made_of(receipt: Receipt) -> None:
    token = receipt.token

    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert Receipt.parse(token) == receipt


def test_a_usual_token_is_short() -> None:
    receipt = Receipt(
        event_id=str(uuid.uuid4()),
        tenant=str(uuid.uuid4()),
        subject="organizations",
        key=str(uuid.uuid4()),
        version=2**48,
    )

    assert len(receipt.token) <= 120


@given(st.text(max_size=200) | st.binary(max_size=60).map(bytes.hex))
def test_what_is_no_token_is_refused_as_malformed(text: str) -> None:
    with pytest.raises(EventError) as refused:
        Receipt.parse(text)

    assert refused.value.reason == "malformed"


@given(receipts, st.integers(1, 40))
def test_half_a_token_is_refused(receipt: Receipt, cut: int) -> None:
    with pytest.raises(EventError):
        Receipt.parse(receipt.token[:-cut])
