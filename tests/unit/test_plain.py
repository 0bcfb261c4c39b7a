"""The short way through an entry reads what the long way reads, and keeps out of everything else."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import EventError
from headwater.event import Envelope, Event, Fields
from headwater.event.plain import PlainReader
from schemas import codec, examples, registry
from tests.strategies import events, wrapped

plain = PlainReader(registry)
NAMES = tuple(codec.encode(wrapped(examples["org.created"])))
pieces = st.sampled_from(
    [
        *(b"", b"0", b"1", b"01", b"+1", b" 1 ", b"1_0", b"-1", b"9" * 30, b'"7"', b'7"', b'"', b'""'),
        *(b"u", b"d", b"x", b"U", b"*", b"crm", b"org.created", b"org.deleted", b"user.created"),
        *(b"\x00", b"\xff", b"\xed\xa0\x80", "é".encode(), b"\\u0000", b"{}", b"[]", b"null", b"1e999"),
        *(b'{"correlationId":5}', b'{"a":"\\u0000"}', b'{"tenantId":"another"}', b'{"\\u0074enantId":"b"}'),
        *(b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 3000, b"x" * 129, b"t" * 65, b"x" * 300_000),
    ]
)
changes = st.dictionaries(
    st.sampled_from(NAMES) | st.sampled_from([b"job", b"other", b"\x00", b"eventtype"]),
    pieces | st.binary(max_size=20) | st.none(),
    max_size=3,
)


def short(fields: Fields) -> Envelope | None:
    """What the short way says: nothing when it leaves the entry to the long one."""
    try:
        return plain.read(fields)
    except (KeyError, ValueError, IndexError, msgspec.MsgspecError, RecursionError):
        return None


def changed(fields: Fields, others: dict[bytes, bytes | None]) -> Fields:
    """An entry with fields replaced, added or left out."""
    mixed: dict[bytes, Any] = {**fields, **others}
    return {name: value for name, value in mixed.items() if value is not None}


@given(event=events, version=st.integers(0, 2**63 - 1), historical=st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_we_write_goes_the_short_way_unless_it_hides_a_character(
    event: Event, version: int, historical: bool
) -> None:
    fields = codec.encode(wrapped(event, version, historical=historical))

    read = short(fields)

    hidden = b"\\u00" in fields[b"data"] + fields[b"metadata"]
    assert hidden or read == codec.decode_with_care(fields)


@given(event=events, others=changes)
@settings(max_examples=100, deadline=None)
def test_whatever_goes_the_short_way_is_read_as_by_the_long_one(
    event: Event, others: dict[bytes, bytes | None]
) -> None:
    fields = changed(codec.encode(wrapped(event)), others)

    read = short(fields)

    assert read is None or read == codec.decode_with_care(fields)


@given(event=events, others=changes)
@settings(max_examples=100, deadline=None)
def test_an_entry_is_refused_for_the_same_reason_as_by_the_long_way(
    event: Event, others: dict[bytes, bytes | None]
) -> None:
    fields = changed(codec.encode(wrapped(event)), others)
    found: list[Envelope | tuple[str, str]] = []

    for decode in (codec.decode, codec.decode_with_care):
        try:
            found.append(decode(fields))
        except EventError as error:
            found.append((error.reason, str(error)))

    assert found[0] == found[1]


def test_labels_that_come_again_are_the_same_and_those_of_another_entry_are_not() -> None:
    first = codec.encode(wrapped(examples["org.created"]))
    second = {**first, b"metadata": b'{"correlationId":"other"}'}

    assert codec.decode(first).metadata == codec.decode_with_care(first).metadata
    assert codec.decode(second).correlation == "other"
    assert codec.decode(first).correlation == "org_ORG_1_1795325769100"
