"""The dialects on a real Redis: appended as the existing writers do, read as our worker does."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from headwater.event import Fields
from headwater.testing import RunningServers
from schemas import codec, examples, respell
from tests.captured import CAPTURED, GENERATIONS
from tests.crm_reader import crm_reads
from tests.strategies import wrapped

PUBLISHED = sorted(name for name, event in examples.items() if not event.read_only)


@pytest_asyncio.fixture
async def redis(servers: RunningServers) -> AsyncIterator[Redis]:
    client = Redis.from_url(servers.redis_url)
    yield client
    await client.aclose()


async def passed(redis: Redis, fields: Fields) -> Fields:
    """The fields of an entry after its way through a stream."""
    key = f"dialects:{secrets.token_hex(6)}"
    await redis.xadd(key, dict(fields))
    [(_, [(_, read)])] = await redis.xread({key: "0"})
    await redis.delete(key)
    return dict(read)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_what_the_existing_writers_append_is_read_as_what_it_says(
    redis: Redis, generation: str
) -> None:
    for captured in CAPTURED.values():
        fields = await passed(redis, GENERATIONS[generation](captured.values))

        assert codec.decode(fields).event == captured.means


async def test_what_we_append_is_read_by_us_and_by_the_existing_crm(redis: Redis) -> None:
    for name in PUBLISHED:
        fields = await passed(redis, codec.encode(wrapped(examples[name])))

        assert codec.decode(fields).event == examples[name]
        assert crm_reads(fields)["eventType"] == name


async def test_what_we_append_in_the_old_spelling_is_read_by_both_too(redis: Redis) -> None:
    for name in PUBLISHED:
        envelope = wrapped(examples[name])
        fields = await passed(redis, respell(envelope, codec.encode(envelope), "s"))

        assert codec.decode(fields).event == examples[name]
        assert codec.decode(fields).version == envelope.version
        assert crm_reads(fields)["tenantId"] == envelope.tenant
