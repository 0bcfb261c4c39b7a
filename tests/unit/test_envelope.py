"""Identity: the same fact has the same id, whoever says it and however often."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from headwater.event import event_id, unique_id
from schemas import codec, examples
from tests.strategies import wrapped


@given(st.text(), st.text(), st.integers())
def test_the_same_fact_always_has_the_same_id(tenant: str, key: str, version: int) -> None:
    said = event_id("org.created", tenant, key, version)

    assert said == event_id("org.created", tenant, key, version)
    assert str(uuid.UUID(said)) == said


def test_every_part_of_a_fact_is_part_of_its_id() -> None:
    facts = [
        ("org.created", "t", "k", 1),
        ("org.updated", "t", "k", 1),
        ("org.created", "u", "k", 1),
        ("org.created", "t", "l", 1),
        ("org.created", "t", "k", 2),
        ("org.created", "tk", "", 1),
        ("org.created", "t", "k", "op-1"),
    ]

    assert len({event_id(*fact) for fact in facts}) == len(facts)


def test_an_id_is_the_same_in_every_release() -> None:
    assert event_id("org.created", "t", "k", 1) == "5c7d5561-bceb-5acd-82cb-d6f7255d718f"


def test_saying_an_event_twice_writes_the_same_entry() -> None:
    assert codec.encode(wrapped(examples["org.created"])) == codec.encode(wrapped(examples["org.created"]))


def test_facts_without_identity_get_ids_that_grow_with_time() -> None:
    ids = [uuid.UUID(unique_id()) for _ in range(200)]

    assert len(set(ids)) == 200
    assert {one.version for one in ids} == {7}
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)


def test_an_envelope_tells_type_subject_and_key_of_its_event() -> None:
    envelope = wrapped(examples["credit.consumed"])

    assert (envelope.type, envelope.subject, envelope.key) == ("credit.consumed", "credit_uses", "op-1")
