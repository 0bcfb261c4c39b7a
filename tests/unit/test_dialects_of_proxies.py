"""Wherever the network cuts a stream, the proxies see the same requests and the same ends of answers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker.protocol import pack as pack_command
from headwater.testing.dialect import Dialect, Part, Request
from headwater.testing.pgwire import Postgres
from headwater.testing.resp import Resp

WORDS = st.lists(st.binary(max_size=20), min_size=1, max_size=5).filter(lambda words: bool(words[0]))
CUTS = st.lists(st.integers(0, 10_000), max_size=12)
LINES = st.sampled_from([b"+OK\r\n", b":12\r\n", b"-ERR no\r\n", b"$-1\r\n", b"*-1\r\n", b"_\r\n", b"#t\r\n"])


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def nested(parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    lists = st.lists(parts, max_size=4).map(lambda some: b"*%d\r\n%s" % (len(some), b"".join(some)))
    maps = st.lists(st.tuples(parts, parts), max_size=3).map(
        lambda some: b"%%%d\r\n%s" % (len(some), b"".join(b"".join(pair) for pair in some))
    )
    return st.one_of(lists, maps)


VALUES = st.recursive(st.one_of(LINES, st.binary(max_size=30).map(bulk)), nested, max_leaves=8)
PUSHES = VALUES.map(lambda value: b">2\r\n+hint\r\n" + value)


def frame(kind: bytes, body: bytes = b"") -> bytes:
    return kind + pack("!i", len(body) + 4) + body


STARTUP = pack("!ii", 22, 196608) + b"user\0shop\0\0\0\0\0"
TLS = pack("!ii", 8, 80877103)
CANCEL = pack("!iiii", 16, 80877102, 1, 2)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def requests(dialect: Dialect, data: bytes, cuts: Sequence[int]) -> list[Request]:
    return [one for piece in pieces(data, cuts) for one in dialect.requests(piece)]


def answers(dialect: Dialect, data: bytes, cuts: Sequence[int]) -> list[Part]:
    return [one for piece in pieces(data, cuts) for one in dialect.answers(piece)]


@given(st.lists(WORDS, max_size=6), CUTS)
def test_redis_commands_are_the_same_however_they_are_cut(
    commands: list[list[bytes]], cuts: list[int]
) -> None:
    data = b"".join(pack_command(words) for words in commands)

    found = requests(Resp(), data, cuts)

    assert b"".join(one.raw for one in found) == data
    assert [one.asked[0].text for one in found] == [b" ".join(words) for words in commands]
    assert all(one.answers == 1 for one in found)


@given(st.lists(st.one_of(VALUES, PUSHES), max_size=6), CUTS)
def test_redis_answers_end_where_they_end_and_what_comes_unasked_is_none(
    values: list[bytes], cuts: list[int]
) -> None:
    found = answers(Resp(), b"".join(values), cuts)

    assert found == [Part(value, not value.startswith(b">")) for value in values]


def test_a_value_with_an_attribute_is_one_answer() -> None:
    alone = b"|1\r\n+ttl\r\n:3\r\n"
    within = b"*2\r\n" + alone + b":1\r\n:2\r\n"

    assert answers(Resp(), alone + b":1\r\n" + within, []) == [
        Part(alone, False),
        Part(b":1\r\n", True),
        Part(within, True),
    ]


def test_a_command_typed_by_hand_is_a_command() -> None:
    assert requests(Resp(), b"ping\r\n\r\nset a b\r\n", []) == [
        *requests(Resp(), b"ping\r\n", []),
        Request(b"\r\n", requests(Resp(), b"\r\n", [])[0].asked, 0),
        *requests(Resp(), b"set a b\r\n", []),
    ]
    assert [one.asked[0].name for one in requests(Resp(), b"ping\r\nset a b\r\n", [])] == ["PING", "SET"]


SIMPLE = st.sampled_from(["BEGIN;", "COMMIT", "  -- why\n/* it */ ROLLBACK;", "insert into t values (1)"])
PREPARED = st.tuples(st.sampled_from(["SELECT 1", "-- what\nUPDATE t SET a = $1"]), st.booleans())


def prepared(place: int, text: str, flushed: bool) -> bytes:
    name = b"s%d\0" % place
    parse = frame(b"P", name + text.encode() + b"\0\0\0") + (frame(b"H") if flushed else b"")
    bind = frame(b"B", b"\0" + name + b"\0\0\0\0\0\0")
    return parse + bind + frame(b"E", b"\0\0\0\0\0") + frame(b"S")


@given(st.lists(st.one_of(SIMPLE, PREPARED), max_size=6), CUTS)
def test_postgres_requests_are_the_same_however_they_are_cut(
    said: list[str | tuple[str, bool]], cuts: list[int]
) -> None:
    data, names, flushes = STARTUP, ["STARTUP"], 0
    for place, one in enumerate(said):
        text = one if isinstance(one, str) else one[0]
        data += frame(b"Q", text.encode() + b"\0") if isinstance(one, str) else prepared(place, *one)
        flushes += not isinstance(one, str) and one[1]
        names.append(next(word for word in KNOWN if word in text.upper()))

    found = requests(Postgres(), data, cuts)

    assert b"".join(one.raw for one in found) == data
    assert [asked.name for one in found for asked in one.asked] == names
    assert sum(one.answers for one in found) == len(names)
    assert sum(one.answers == 0 for one in found) == flushes


KNOWN = ("BEGIN", "COMMIT", "ROLLBACK", "INSERT", "SELECT", "UPDATE")


@given(CUTS)
def test_encryption_is_refused_before_the_session_begins(cuts: list[int]) -> None:
    found = requests(Postgres(), TLS + STARTUP, cuts)

    assert [(one.raw, one.reply) for one in found] == [(TLS, b"N"), (STARTUP, b"")]


def test_a_request_to_cancel_is_passed_on_and_has_no_answer() -> None:
    assert [(one.asked[0].name, one.answers) for one in requests(Postgres(), CANCEL, [])] == [("CANCEL", 0)]


@given(st.lists(st.sampled_from([b"T", b"D", b"C", b"Z", b"A"]), max_size=10), CUTS)
def test_an_answer_of_postgres_ends_where_it_is_ready_for_the_next(
    kinds: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(frame(kind, b"I") for kind in kinds)

    assert answers(Postgres(), data, cuts) == [Part(frame(kind, b"I"), kind == b"Z") for kind in kinds]
