"""The door to Redis: a call is one try, a lost answer is told, a broken connection is not used again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from headwater.broker import Broker, Entry, EntryId
from headwater.errors import BrokerRefused, BrokerUnavailable, GroupMissing, SettingsError
from headwater.testing import FaultProxy, RunningServers, until


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(servers: RunningServers) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.before(servers.redis_url) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def broker(proxy: FaultProxy) -> AsyncIterator[Broker]:
    broker = Broker(proxy.url, timeout=0.5)
    yield broker
    await broker.close()


@pytest_asyncio.fixture(loop_scope="session")
async def direct(servers: RunningServers) -> AsyncIterator[Broker]:
    """A broker without the proxy, to look at what really happened."""
    broker = Broker(servers.redis_url)
    yield broker
    await broker.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stream(direct: Broker) -> AsyncIterator[str]:
    name = f"test:{uuid.uuid4().hex}"
    yield name
    await direct.execute("DEL", name)


async def read(broker: Broker, stream: str, block: float = 0.05) -> list[Entry]:
    return await broker.read("g", "c", [stream], count=100, block=block)


async def append(broker: Broker, stream: str, *texts: str) -> list[str]:
    return [str(reply) for reply in await broker.append([(stream, {b"n": text.encode()}) for text in texts])]


async def test_entries_come_back_in_order_and_as_the_bytes_that_were_appended(
    broker: Broker, stream: str
) -> None:
    await broker.create_group(stream, "g")
    first, second = {b"a": b"1", b"": b""}, {b"\xff\x00": b"\xc3\x28\r\n"}

    ids = await broker.append([(stream, first), (stream, second)])

    assert await read(broker, stream) == [
        Entry(stream, str(ids[0]), first),
        Entry(stream, str(ids[1]), second),
    ]


async def test_ids_order_as_numbers_and_not_as_texts() -> None:
    assert EntryId.parse("9-10") > EntryId.parse(b"9-9")
    assert EntryId.parse("10-0") > EntryId.parse("9-99")
    assert str(EntryId.parse("7")) == "7-0"


async def test_an_append_whose_answer_is_lost_is_told_and_not_tried_again(
    broker: Broker, direct: Broker, proxy: FaultProxy, stream: str
) -> None:
    proxy.lose_reply(to=b"XADD")

    with pytest.raises(BrokerUnavailable) as raised:
        await append(broker, stream, "once")

    assert raised.value.sent
    assert len(await direct.range(stream)) == 1


async def test_a_pipeline_whose_answer_is_lost_was_sent_exactly_once(
    broker: Broker, direct: Broker, proxy: FaultProxy, stream: str
) -> None:
    proxy.lose_reply(to=b"XADD")

    with pytest.raises(BrokerUnavailable):
        await append(broker, stream, *map(str, range(50)))

    assert len(await direct.range(stream)) == 50


async def test_without_a_connection_nothing_was_sent(broker: Broker, proxy: FaultProxy, stream: str) -> None:
    await proxy.refuse()

    with pytest.raises(BrokerUnavailable) as raised:
        await append(broker, stream, "never")

    assert not raised.value.sent


async def test_a_silent_server_counts_as_gone_after_the_timeout(broker: Broker, proxy: FaultProxy) -> None:
    await broker.version()
    proxy.black_hole()

    async with asyncio.timeout(30):
        with pytest.raises(BrokerUnavailable):
            await broker.version()


async def test_a_connection_with_an_answer_on_its_way_is_never_used_again(
    proxy: FaultProxy, direct: Broker, stream: str
) -> None:
    broker = Broker(proxy.url, timeout=5.0, connections=1)
    await append(broker, stream, "mine")
    proxy.black_hole()
    sent = proxy.requests
    waiting = asyncio.create_task(broker.execute("ECHO", "late"))
    await until(lambda: proxy.requests > sent)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await proxy.heal()
    before = proxy.connections

    answers = [await broker.execute("ECHO", f"a{number}") for number in range(3)]

    assert answers == [b"a0", b"a1", b"a2"]
    assert proxy.connections == before + 1
    await broker.close()


async def test_a_lost_read_leaves_its_entries_pending_for_the_same_consumer(
    broker: Broker, proxy: FaultProxy, stream: str
) -> None:
    await broker.create_group(stream, "g")
    ids = await append(broker, stream, "a", "b")
    proxy.lose_reply(to=b"XREADGROUP")

    with pytest.raises(BrokerUnavailable):
        await read(broker, stream)

    assert await read(broker, stream) == []
    assert [entry.id for entry in await broker.pending_of("g", "c", stream)] == ids


async def test_a_missing_group_is_an_error_of_its_own(broker: Broker, stream: str) -> None:
    with pytest.raises(GroupMissing):
        await read(broker, stream)
    with pytest.raises(GroupMissing):
        await broker.claim_idle(stream, "g", "c", min_idle=0)
    assert await broker.groups(stream) == []
    assert await broker.consumers(stream, "g") == []
    assert await broker.stream(stream) is None


async def test_a_reader_that_is_blocked_when_its_stream_is_deleted_hears_of_it_at_once(
    broker: Broker, direct: Broker, stream: str
) -> None:
    await broker.create_group(stream, "g")
    reading = asyncio.create_task(read(broker, stream, block=0.4))

    async def blocked() -> bool:
        return b"cmd=xreadgroup" in await direct.execute("CLIENT", "LIST")

    await until(blocked)
    await direct.execute("DEL", stream)

    with pytest.raises(GroupMissing):
        await reading


async def test_unblock_ends_a_waiting_read_empty_handed_and_disturbs_no_later_one(
    broker: Broker, direct: Broker, stream: str
) -> None:
    slow = Broker(broker_url(broker), timeout=20.0)
    await slow.create_group(stream, "g")
    reading = asyncio.create_task(read(slow, stream, block=15))

    async def ended() -> bool:
        await slow.unblock()
        return reading.done()

    await until(ended)
    assert await reading == []
    await slow.unblock()
    await append(direct, stream, "later")
    assert len(await read(slow, stream, block=5)) == 1
    await slow.close()


def broker_url(broker: Broker) -> str:
    options = broker._pool.connection_kwargs
    return f"redis://:{options['password']}@{options['host']}:{options['port']}/0"


async def test_one_refused_append_spoils_neither_its_neighbours_nor_the_connection(
    broker: Broker, direct: Broker, proxy: FaultProxy, stream: str
) -> None:
    wrong = f"{stream}:wrong"
    await direct.execute("SET", wrong, "a text")
    field = {b"n": b"1"}

    replies = await broker.append([(stream, field), (wrong, field), (stream, field)])

    assert isinstance(replies[1], BrokerRefused)
    assert [entry.id for entry in await direct.range(stream)] == [replies[0], replies[2]]
    await direct.execute("DEL", wrong)
    assert await broker.execute("ECHO", "still mine") == b"still mine"
    assert proxy.connections == 1


async def test_a_server_that_is_out_of_memory_is_unavailable_and_not_refusing(
    broker: Broker, direct: Broker, stream: str
) -> None:
    await direct.execute("CONFIG", "SET", "maxmemory", "1")
    try:
        (reply,) = await broker.append([(stream, {b"n": b"1"})])
    finally:
        await direct.execute("CONFIG", "SET", "maxmemory", "0")

    assert isinstance(reply, BrokerUnavailable)


async def test_a_claim_takes_over_what_is_idle_and_names_what_is_lost(
    broker: Broker, direct: Broker, stream: str
) -> None:
    await broker.create_group(stream, "g")
    ids = await append(broker, stream, "kept", "lost")
    await read(broker, stream)
    assert (await broker.claim_idle(stream, "g", "d", min_idle=60)).entries == []
    await direct.execute("XDEL", stream, ids[1])

    page = await broker.claim_idle(stream, "g", "d", min_idle=0)

    assert [entry.id for entry in page.entries] == ids[:1]
    assert page.lost == ids[1:]
    assert page.cursor == "0-0"
    assert [entry.fields for entry in await broker.pending_of("g", "d", stream)] == [{b"n": b"kept"}]


async def test_an_entry_deleted_while_pending_is_read_again_without_fields(
    broker: Broker, direct: Broker, stream: str
) -> None:
    await broker.create_group(stream, "g")
    ids = await append(broker, stream, "a")
    await read(broker, stream)
    await direct.execute("XDEL", stream, ids[0])

    assert await broker.pending_of("g", "c", stream) == [Entry(stream, ids[0], None)]


async def test_a_heartbeat_keeps_entries_young_without_counting_as_a_delivery(
    broker: Broker, stream: str
) -> None:
    await broker.create_group(stream, "g")
    ids = await append(broker, stream, "a", "b")
    await read(broker, stream)

    async def aged() -> bool:
        (idle, _) = [one[2] for one in await broker.execute("XPENDING", stream, "g", "-", "+", 9)]
        return bool(idle >= 40)

    await until(aged)
    await broker.heartbeat("g", "c", {stream: ids})

    ages = [one[2] for one in await broker.execute("XPENDING", stream, "g", "-", "+", 9)]
    assert max(ages) < 40
    assert await broker.deliveries("g", "c", stream, first="-", last="+") == dict.fromkeys(ids, 1)


async def test_released_entries_can_be_claimed_at_once_by_anybody(broker: Broker, stream: str) -> None:
    await broker.create_group(stream, "g")
    ids = await append(broker, stream, "a")
    await read(broker, stream)

    assert await broker.give_back("g", "c", stream, idle=10) == 1

    assert await broker.pending_of("g", "c", stream) == []
    assert [entry.id for entry in (await broker.claim_idle(stream, "g", "d", min_idle=9)).entries] == ids


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://h/0?ssl_cert_reqs=none", "no such option: 'ssl_cert_reqs'"),
        ("rediss://h/0?ssl_cert_reqs=maybe", "maybe"),
        ("redis://h/0?socket_timeout=soon", "socket_timeout"),
        ("redis://user:secret@one:1,two:2/0", "Port"),
        ("redis://h:99999/0", "Port out of range"),
    ],
)
def test_an_address_that_can_not_be_used_is_a_wrong_setting_and_tells_no_password(
    address: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Broker(address)
    assert "secret" not in str(caught.value)


async def test_a_server_behind_a_socket_in_the_file_system_is_reached(
    servers: RunningServers, tmp_path: Path
) -> None:
    at = urlsplit(servers.redis_url)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65_536):
            writer.write(some)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(at.hostname, at.port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    async with await asyncio.start_unix_server(serve, tmp_path / "redis.sock"):
        broker = Broker(f"unix://:{at.password}@{tmp_path / 'redis.sock'}")
        assert await broker.execute("PING") == b"PONG"
        await broker.close()
