"""An append is packed by a form; it must be what packing word by word gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker.protocol import pack, pack_append

words = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(lambda size: b"x" * size))


@given(words, st.dictionaries(words, words, min_size=1, max_size=20))
def test_an_append_is_packed_as_any_command_is(stream: bytes, fields: dict[bytes, bytes]) -> None:
    for _ in range(2):  # also from the form that the first one left
        pairs = (word for pair in fields.items() for word in pair)
        assert pack_append(stream, fields) == pack((b"XADD", stream, b"*", *pairs))
