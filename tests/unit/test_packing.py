"""What is packed by a form of its own must be what packing word by word gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import Entry
from headwater.broker.protocol import entries, pack, pack_acknowledge, pack_append

words = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(lambda size: b"x" * size))


@given(words, st.dictionaries(words, words, min_size=1, max_size=20))
def test_an_append_is_packed_as_any_command_is(stream: bytes, fields: dict[bytes, bytes]) -> None:
    for _ in range(2):  # also from the form that the first one left
        pairs = (word for pair in fields.items() for word in pair)
        assert pack_append(stream, fields) == pack((b"XADD", stream, b"*", *pairs))


@given(st.lists(st.from_regex(r"[0-9]{1,14}-[0-9]{1,4}", fullmatch=True), min_size=1, max_size=30))
def test_an_acknowledgement_names_every_entry_once_in_whichever_order(ids: list[str]) -> None:
    packed = pack_acknowledge("stréam", "group", ids)

    by_length = sorted(ids, key=len)
    alike = [one for length in dict.fromkeys(map(len, ids)) for one in by_length if len(one) == length]
    assert packed == pack(("XACK", "stréam", "group", *alike))


def test_entries_have_their_fields_and_those_that_are_gone_have_none() -> None:
    found = entries("s", [[b"1-0", [b"a", b"1", b"b", b"2"]], [b"2-0", None], [b"3-0", []]])

    assert found == [
        Entry("s", "1-0", {b"a": b"1", b"b": b"2"}),
        Entry("s", "2-0", None),
        Entry("s", "3-0", None),
    ]
    assert all(type(one) is Entry for one in found)
