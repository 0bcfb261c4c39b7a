"""How a customer's record is written between services, and read from either kind of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.customer_sync.dialect import Known, Unreadable, read, readable, write
from consumers.customer_records.meeting import MOST_EDITS, Copy, Edit, Field, Vector
from consumers.customer_records.vault import TRANSPORT, Key, Vault

VAULT = Vault(Key.of("a1" * 31 + "02"))
STRANGER = Vault(Key.of("b1" * 31 + "02"))
ADDRESS = "ada@planted.example"
WHEN = datetime(2026, 1, 7, 9, tzinfo=UTC)
COPY = Copy(Vector(2, 1), Field("Ada", Edit("auth", 2)), Field(ADDRESS, Edit("customer", 1)))
TIMES = (WHEN, WHEN, None)
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)


def sent(**changes: Any) -> dict[str, Any]:
    """A record of ours on the wire, changed."""
    data: dict[str, Any] = json.loads(msgspec.json.encode(write("c1", COPY, TIMES, VAULT)))
    return {**data, **changes}


@st.composite
def copies(draw: st.DrawFn) -> Copy:
    vector = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)).map(lambda one: Vector(*one)))
    edits = [
        Edit("auth", draw(st.integers(0, vector.auth))),
        Edit("customer", draw(st.integers(0, vector[1]))),
    ]
    gone = draw(st.sampled_from([Vector(), vector, Vector(vector.auth, 0)]))
    return Copy(vector, Field(draw(texts), edits[0]), Field(draw(texts), edits[1]), gone)


@given(copies(), texts.filter(bool))
def test_what_one_of_ours_writes_another_reads_as_the_same_copy(copy: Copy, record: str) -> None:
    found = read(json.loads(msgspec.json.encode(write(record, copy, TIMES, VAULT))), VAULT, legacy=False)

    assert found == [
        Known(record, copy, copy.name.value, copy.email.value, copy.vector.version, WHEN, WHEN, None)
    ]


def test_an_address_travels_sealed_between_ours_and_plain_only_to_an_existing_service() -> None:
    assert ADDRESS not in msgspec.json.encode(write("c1", COPY, TIMES, VAULT)).decode()
    plain = json.loads(msgspec.json.encode(write("c1", COPY, TIMES, None)))
    assert plain["email"] == ADDRESS
    assert "edits" not in plain
    assert plain["sync_version"] == 3


PLAIN = {"id": "1", "name": "A", "email": "a@b"}


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (None, 0),
        ([], 0),
        ({"id": "1", "name": "A", "email": "a@b"}, 1),
        ([{"id": "1", "name": "A", "email": ""}], 1),
    ],
)
def test_an_existing_service_says_null_a_record_or_a_list(answer: Any, count: int) -> None:
    known, unreadable = readable(read(answer, VAULT, legacy=True))

    assert len(known) == count
    assert not unreadable
    assert all(one.copy is None and one.version == 0 for one in known)


def test_the_zero_time_of_the_existing_services_is_unknown() -> None:
    data = {"id": "1", "name": "A", "email": "", "created_at": "0001-01-01T00:00:00Z"}
    data |= {"updated_at": "2026-01-07T09:00:00+01:00", "last_sync_at": "9999-12-31T23:59:59-12:00"}
    (one,) = read(data, VAULT, legacy=True)

    assert isinstance(one, Known)
    assert (one.created_at, one.last_sync_at) == (None, None)
    assert one.updated_at == datetime(2026, 1, 7, 8, tzinfo=UTC)


EDITS: dict[str, Any] = {"auth": 2, "customer": 1, "name": ["auth", 2], "email": ["customer", 1]}
BAD = {
    "no object": 7,
    "no id": {"name": "A", "email": ""},
    "an empty id": sent(id=""),
    "a long id": sent(id="x" * 257),
    "an id that is a number": sent(id=7),
    "a name with a nul": sent(name="a\0"),
    "half a pair": sent(name="\ud800"),
    "no edits": {name: value for name, value in sent().items() if name != "edits"},
    "an address in the clear": sent(email=ADDRESS),
    "an address in the clear that looks sealed": sent(email=f"v1.{ADDRESS}"),
    "more edits than are believed": sent(edits={**EDITS, "auth": 10**9 + 1}),
    "sealed for another record": sent(id="c2"),
    "a stranger's key": sent(email=STRANGER.seal(TRANSPORT, "c1", ADDRESS)),
    "changed on the way": sent(email=sent()["email"][:-6] + "AAAA=="),
    "a version below zero": sent(sync_version=-1),
    "a version that no column holds": sent(sync_version=2**31),
    "no time": sent(updated_at="yesterday"),
    "edits that it has not": sent(edits={**EDITS, "name": ["auth", 3]}),
    "deleted beyond its edits": sent(edits={**EDITS, "gone": [3, 0]}),
    "nobody's edit": sent(edits={"auth": 0, "customer": 0, "name": ["auth", 0], "email": ["auth", 0]}),
    "an edit of a third side": sent(edits={**EDITS, "name": [ADDRESS, 1]}),
    "more than edits": sent(edits={**EDITS, "more": 1}),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_record_is_told_without_its_values_and_costs_the_others_nothing(what: str) -> None:
    known, unreadable = readable(read([sent(), BAD[what], sent()], VAULT, legacy=False))

    assert [one.id for one in known] == ["c1", "c1"]
    assert len(unreadable) == 1
    assert unreadable[0].reason
    assert ADDRESS not in repr(unreadable)


@pytest.mark.parametrize(
    "address", ["zora.quill@planted.example", "v1.quill@planted.example.x", "v1.planted.x"]
)
def test_of_an_address_in_place_of_a_sealed_text_no_part_is_told(address: str) -> None:
    (found,) = read(sent(email=address), VAULT, legacy=False)

    assert isinstance(found, Unreadable)
    assert not any(part in found.reason for part in ("zora", "quill", "planted"))


def test_both_sides_at_the_most_edits_are_read_and_an_old_service_beyond_them_is_not() -> None:
    most = MOST_EDITS
    far = Copy(Vector(most, most), Field("Ada", Edit("auth", most)), Field(ADDRESS, Edit("customer", most)))
    (known,) = read(json.loads(msgspec.json.encode(write("c1", far, TIMES, VAULT))), VAULT, legacy=False)
    (old,) = read(sent(email=ADDRESS, sync_version=most + 1), VAULT, legacy=True)

    assert isinstance(known, Known)
    assert known.copy == far
    assert isinstance(old, Unreadable)
    assert "version" in old.reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | texts,
        lambda one: st.lists(one) | st.dictionaries(texts, one),
    )
)
def test_whatever_is_said_is_read_or_told(data: Any) -> None:
    for legacy in (True, False):
        assert all(isinstance(one, Known | Unreadable) for one in read(data, VAULT, legacy=legacy))
