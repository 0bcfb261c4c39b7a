"""What the chat makes of accounts: the rows of the existing service, with phones that stay unique."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from consumers import chat
from consumers.chat import transform
from headwater.database import Database
from headwater.delivery import letters
from headwater.delivery.outcome import Ack, Park
from headwater.delivery.work import Delivery
from headwater.event import Envelope
from headwater.publish import Said
from headwater.testing import RunningServers
from schemas import codec
from schemas.accounts import AccountChanged, AccountDeleted
from tests.system.conftest import Application

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
PHONES = ("111", "222", "333")


def person(number: int) -> str:
    return str(uuid.UUID(int=number << 96 | 4 << 76 | 8 << 60))


def changed(number: int, version: int = 1, **known: Any) -> Envelope:
    event = AccountChanged(**{"account_id": person(number), "status": "active", "updated_at": NOON, **known})
    return Said(event, "", 1 << 48 | version).envelope("users")


def deleted(number: int, version: int = 9) -> Envelope:
    return Said(AccountDeleted(account_id=person(number)), "", 1 << 48 | version).envelope("users")


@pytest_asyncio.fixture
async def talk(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Database]:
    """The chat's database: empty, set up."""
    async with servers.fresh_database(templates["chat"]) as url:
        database = await Database.open(url)
        yield database
        await database.close()


@pytest_asyncio.fixture
async def app(talk: Database) -> Application:
    return await Application(talk, chat.declare()).open()


async def people(app: Application) -> dict[str, dict[str, Any]]:
    rows = await app.database.fetch('SELECT * FROM users ORDER BY "externalId"')
    return {str(row["externalId"]): dict(row) for row in rows}


async def phones(app: Application) -> dict[str, str]:
    return {one: row["phone"] for one, row in (await people(app)).items()}


async def test_every_column_that_a_sync_writes_is_as_the_rules_say_and_no_other_is_touched(
    app: Application,
) -> None:
    known = {"first_name": "Ada ", "last_name": "Byron", "phone": "+355 69", "email": "a@b.example"}
    envelope = changed(1, email_verified=True, role="provider", job_budget={"min": 1}, **known)
    assert await app.take(envelope) == [Ack()]
    [row] = (await people(app)).values()
    written = transform.row(envelope.event)  # type: ignore[arg-type]
    for name in ("name", "phone", "email", "role", "avatar", "firstName", "lastName"):
        assert row[name] == written[name]
    assert json.loads(row["metaData"]) == json.loads(json.dumps(written["metaData"], default=str))
    assert (row["updatedAt"], row["isOnline"], row["socketId"]) == (NOON, False, None)

    await app.database.execute(
        'UPDATE users SET "socketId" = \'s\', "isOnline" = true, "lastSeen" = now(), '
        "\"createdAt\" = '2020-01-01Z'"
    )
    (before,) = (await people(app)).values()
    await app.take(changed(1, 2, first_name="Ada", phone="7"))
    (after,) = (await people(app)).values()
    kept = ("id", "externalId", "socketId", "isOnline", "lastSeen", "createdAt")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert (after["name"], after["phone"], after["email"]) == ("Ada", "7", None)


async def test_a_row_that_the_chat_server_made_itself_is_taken_over_with_its_own_id(app: Application) -> None:
    insert = (
        'INSERT INTO users (id, "externalId", name, phone, "createdAt", "updatedAt") '
        "VALUES ($1, $2, $3, $4, now(), now())"
    )
    own = uuid.uuid4()
    await app.database.execute(insert, own, uuid.UUID(person(1)), "?", "unknown")
    await app.database.execute(insert, uuid.UUID(person(2)), None, "a bot", "bot")

    assert await app.take(changed(1, phone="1"), changed(2, phone="2")) == [Ack(), Ack()]

    found = await people(app)
    assert (found[person(1)]["id"], found[person(1)]["phone"]) == (own, "1")
    assert found[person(2)]["phone"] == "2"
    assert str(found[person(2)]["id"]) != person(2)  # that id was the chat server's own
    assert await app.database.fetchval("SELECT count(*) FROM users") == 3


async def test_a_phone_that_is_somebody_elses_is_refused_at_once_and_stops_nobody(app: Application) -> None:
    await app.take(changed(1, phone="111"))

    found = await app.take(changed(2, phone="111"), changed(3, phone="333"), changed(4, phone="333"))

    assert [type(one) for one in found] == [Park, Ack, Park]
    assert isinstance(found[0], Park)
    assert found[0].reason == "rejected"
    assert "111" not in found[0].error  # nobody's number belongs into a log
    assert person(1) in found[0].error
    assert await phones(app) == {person(1): "111", person(3): "333"}


async def test_phones_and_emails_that_change_hands_within_a_batch_arrive(app: Application) -> None:
    known = {"email_verified": True}
    await app.take(
        changed(1, phone="111", email="1@x.example", **known),
        changed(2, phone="222", email="2@x.example", **known),
        changed(3, phone="333", email="3@x.example", **known),
    )

    found = await app.take(
        changed(1, 2, phone="222", email="2@x.example", **known),
        changed(2, 2, phone="333", email="3@x.example", **known),
        changed(3, 2, phone="111", email="1@x.example", **known),
    )

    assert found == [Ack(), Ack(), Ack()]
    assert await phones(app) == {person(1): "222", person(2): "333", person(3): "111"}


async def test_who_is_refused_keeps_what_he_has_and_so_nobody_else_gets_it(app: Application) -> None:
    await app.take(changed(1, phone="111"), changed(2, phone="222"), changed(9, phone="999"))

    found = await app.take(
        changed(1, 2, phone="999"), changed(2, 2, phone="111")
    )  # 1 can not move, so 2 can not

    assert [type(one) for one in found] == [Park, Park]
    assert await phones(app) == {person(1): "111", person(2): "222", person(9): "999"}


async def test_two_emails_may_be_alike_where_the_chat_allows_it(app: Application) -> None:
    await app.database.execute("ALTER TABLE users DROP CONSTRAINT users_email_key")
    known = {"email": "a@b.example", "email_verified": True}

    assert await app.take(changed(1, phone="1", **known), changed(2, phone="2", **known)) == [Ack(), Ack()]


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_phones_are_drawn_the_chat_has_what_it_took_and_no_phone_twice(
    app: Application, seed: int
) -> None:
    chance, version, last = Random(seed), 1, dict[str, str]()
    for _ in range(12):
        batch = []
        for number in chance.sample(range(1, 6), chance.randint(1, 5)):
            version += 1
            batch.append(changed(number, version, phone=chance.choice(PHONES)))
        for envelope, outcome in zip(batch, await app.take(*batch), strict=True):
            if isinstance(outcome, Ack):
                last[envelope.key] = str(envelope.event.phone)  # type: ignore[attr-defined]
            else:
                assert isinstance(outcome, Park)
        assert await phones(app) == last
    assert len(set(last.values())) == len(last)


async def test_who_leaves_is_removed_and_an_older_state_does_not_bring_him_back(app: Application) -> None:
    await app.take(changed(1, phone="1"), changed(2, phone="2"), changed(3, phone="3"))

    await app.take(changed(1, 5, status="blocked"), deleted(2), changed(3, 5, status="inactive"))
    assert await people(app) == {}

    await app.take(changed(1, 3, phone="1"), changed(2, 4, phone="2"))
    assert await people(app) == {}
    await app.take(changed(3, 6, phone="3"))
    assert list(await people(app)) == [person(3)]


async def test_by_policy_who_leaves_stays_under_another_status(talk: Database) -> None:
    app = await Application(talk, chat.declare("mark")).open()
    await app.take(changed(1, phone="1"), changed(2, phone="2"))

    await app.take(changed(1, 2, status="blocked"), deleted(2))

    found = {one: json.loads(row["metaData"])["status"] for one, row in (await people(app)).items()}
    assert found == {person(1): "blocked", person(2): "deleted"}


async def test_who_is_still_referred_to_is_marked_and_recorded_and_the_others_are_removed(
    app: Application,
) -> None:
    await app.database.execute(
        "CREATE TABLE notes (id serial PRIMARY KEY, author uuid NOT NULL REFERENCES users (id))"
    )
    await app.take(changed(1, phone="1"), changed(2, phone="2"))
    await app.database.execute("INSERT INTO notes (author) VALUES ($1)", uuid.UUID(person(1)))

    assert await app.take(deleted(1), deleted(2)) == [Ack(), Ack()]

    found = await people(app)
    assert list(found) == [person(1)]
    assert json.loads(found[person(1)]["metaData"])["status"] == "deleted"
    [problem] = await chat.listed(app.database, unresolved=True)
    assert (problem.error_type, problem.user_id) == ("DELETE_USER_FAILED", person(1))
    assert json.loads(problem.additional_data or "{}")["table"] == "notes"

    await app.take(changed(1, 20, phone="1"))  # he is back: nothing has to be removed any more
    assert await chat.listed(app.database, unresolved=True) == []


async def test_errors_are_of_a_closed_list_of_types_and_keep_what_was_said(talk: Database) -> None:
    with pytest.raises(ValueError, match="no type of error"):
        await chat.record(talk, "SOMETHING_ELSE", None, "what")
    for kind in chat.TYPES:
        await chat.record(talk, kind, None, "what\x00ever", stack="here\nand there", more={"n": 1})

    found = await chat.listed(talk)
    assert {one.error_type for one in found} == set(chat.TYPES)
    assert {(one.error_message, one.error_stack, one.retry_count) for one in found} == {
        ("what�ever", "here\nand there", 0)
    }
    assert await chat.counted(talk, unresolved=True) == dict.fromkeys(sorted(chat.TYPES), 1)
    assert len(await chat.listed(talk, kind="POOL_ERROR")) == 1
    assert len(await chat.listed(talk, limit=3)) == 3
    documented = "SELECT error_type, COUNT(*), MAX(created_at) AS last_occurrence FROM sync_errors GROUP BY 1"
    assert len(await talk.fetch(documented)) == len(chat.TYPES)


async def test_a_fact_that_is_parked_again_is_the_same_error_and_over_with_either_letter(
    talk: Database,
) -> None:
    envelope, why = changed(1), Park("rejected", "the phone is taken\nby somebody", 1)
    for entry in ("1-0", "2-0"):
        delivery = Delivery("user-accounts", entry, codec.encode(envelope))
        await letters.park(talk, "chat", [letters.Parked(delivery, why, envelope)])

    [problem] = await chat.listed(talk, unresolved=True)
    assert (problem.error_type, problem.error_message) == ("UPSERT_USER_FAILED", "the phone is taken")
    assert problem.error_stack == why.error
    assert len(await chat.retry(talk, "chat", [person(1)])) == 2
    await talk.execute("UPDATE headwater.dead_letter SET state = 'replayed' WHERE entry = '2-0'")
    assert await chat.listed(talk, unresolved=True) == []
