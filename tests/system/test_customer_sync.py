"""Two services with a database each: whatever is edited where, they come together and stay so."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from backfill.customer_sync.mounts import mounts
from backfill.customer_sync.records import StoreRecords
from consumers import migrations
from consumers.customer_records.meeting import SIDES, Edit, Field, Side
from consumers.customer_records.store import Incoming, Record, Store
from consumers.customer_records.vault import FORM, Key, Vault
from headwater.admin import KeyRing, admin_application, run_admin
from headwater.cli.project import find
from headwater.cli.wiring import wired
from headwater.config import Dsn, Settings
from headwater.database import Database
from headwater.database.migrate import migrate
from headwater.testing import RunningServers
from tests.system.peers import old_service
from tests.system.running import ROOT
from tests.system.test_customer_endpoints import ISSUED, KEY, LIMITS, Running, of, served

VAULT = Vault(Key.of(KEY.reveal()))
TABLE = {"auth": "client_auth", "customer": "customers"}
PLANTED = "planted.example"


class Sided:
    """One side: its database, its store, its service."""

    def __init__(self, side: Side, database: Database) -> None:
        self.side, self.database = side, database
        self.store = Store(database, side, VAULT)
        self.records = StoreRecords(self.store)

    async def all(self) -> dict[str, Any]:
        """Every copy, those deleted too."""
        found = await self.store.page(1000, "", unsynced=False)
        return {one.id: one.copy if isinstance(one, Record) else one for one in found}

    async def sql(self, statement: str, *given: Any) -> Any:
        return await self.database.fetchval(statement.replace("TABLE", TABLE[self.side]), *given)


@pytest_asyncio.fixture
async def both(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[dict[Side, Sided]]:
    async with AsyncExitStack() as stack:
        found: dict[Side, Sided] = {}
        for side in SIDES:
            url = await stack.enter_async_context(servers.fresh_database(templates[side]))
            database = await Database.open(url)
            stack.push_async_callback(database.close)
            found[side] = Sided(side, database)
        yield found


@pytest_asyncio.fixture
async def running(both: dict[Side, Sided]) -> AsyncIterator[dict[Side, Running]]:
    """Auth knows where customer is."""
    async with served("customer", both["customer"].records, of("customer")) as customer:
        named = of("auth", customer_service_url=Dsn(customer.url), page=7)
        async with served("auth", both["auth"].records, named) as auth:
            yield {"auth": auth, "customer": customer}


async def test_edits_and_deletions_of_both_sides_meet_and_then_nothing_is_written(
    both: dict[Side, Sided], running: dict[Side, Running]
) -> None:
    auth, customer = both["auth"], both["customer"]
    for number in range(20):
        await auth.store.edit(f"a{number:02}", name="Ada", email=f"a{number}@{PLANTED}")
        await customer.store.edit(f"c{number:02}", name="Bob", email=f"c{number}@{PLANTED}")
    _, told = await running["auth"].ask("POST", "/trigger")
    assert (told["pulled"]["counts"], told["pulled"]["failed"]) == ({"applied": 20}, 0)

    await customer.store.edit("a03", name="Ada Byron", email=f"ada@{PLANTED}")
    await auth.store.delete("c05")
    await running["auth"].ask("POST", "/trigger")

    assert await auth.all() == await customer.all()
    assert await auth.sql("SELECT name FROM TABLE WHERE id = 'a03'") == "Ada Byron"
    assert await customer.sql("SELECT count(*) FROM TABLE WHERE id = 'c05'") == 0
    for one in both.values():
        assert (await one.store.standing()).unsynced == 0
    _, last = await running["auth"].ask("POST", "/trigger")
    assert (last["pulled"]["counts"], last["pushed"]["counts"]) == ({"dropped": 40}, {})


async def test_both_see_what_was_edited_on_both_and_no_edit_is_lost_in_silence(
    both: dict[Side, Sided], running: dict[Side, Running]
) -> None:
    auth, customer = both["auth"], both["customer"]
    await auth.store.edit("c1", name="Ada", email=f"ada@{PLANTED}")
    await running["auth"].ask("POST", "/trigger")
    await auth.store.edit("c1", name="Ada of auth", email=f"ada@{PLANTED}")
    await customer.store.edit("c1", name="Ada of customer", email=f"new@{PLANTED}")

    _, told = await running["auth"].ask("POST", "/trigger")

    assert told["pulled"]["problems"][0]["verdict"] == "conflict"
    assert await auth.all() == await customer.all()
    copy = (await auth.all())["c1"]
    assert (copy.name.value, copy.email.value) == ("Ada of auth", f"new@{PLANTED}")
    row = await auth.database.fetchrow("SELECT * FROM customer_sync.conflict")
    assert row is not None
    assert row["clashes"] == ["name"]
    assert json.loads(row["theirs"])["name"][0] == "Ada of customer"
    assert PLANTED not in row["mine"] + row["theirs"]


async def test_where_nobody_is_preferred_each_keeps_its_own_until_somebody_decides(
    both: dict[Side, Sided],
) -> None:
    auth = Store(both["auth"].database, "auth", VAULT, None)
    await auth.edit("c1", name="Ada", email="")
    theirs = Incoming("c1", None, "Eve", "", 9)
    assert (await auth.receive(theirs)).verdict == "applied"  # an older service: the higher version
    await auth.edit("c1", name="Ada again", email="")
    held = await auth.page(1, "", unsynced=False)
    assert isinstance(held[0], Record)
    copy = held[0].copy
    vector = copy.vector._replace(auth=1, customer=20)
    theirs = Incoming(
        "c1", copy._replace(vector=vector, name=Field("Bob", Edit("customer", 20))), "Bob", "", 21
    )

    taken, again = await auth.receive(theirs), await auth.receive(theirs)

    assert (taken.verdict, again.verdict) == ("conflict", "conflict")
    assert "left to somebody" in taken.reason
    assert await both["auth"].sql("SELECT name FROM TABLE") == "Ada again"
    assert (await auth.standing()).conflicts == 1
    (conflict,) = await auth.conflicts()
    assert (conflict.clashes, conflict.mine, conflict.theirs) == (["name"], "Ada again", "Bob")

    assert await auth.resolve("c1", "customer")

    assert not await auth.resolve("c1", "customer")
    assert await both["auth"].sql("SELECT name FROM TABLE") == "Bob"
    held = await auth.page(1, "", unsynced=True)
    assert isinstance(held[0], Record)
    assert held[0].copy.vector.holds(vector)
    assert held[0].copy.vector.auth == 3  # a decision is an edit
    assert (await auth.receive(theirs)).verdict == "dropped"


@pytest.mark.parametrize("seed", range(6))
async def test_any_history_of_edits_partitions_and_replays_ends_alike(
    both: dict[Side, Sided], seed: int
) -> None:
    """Copies go over directly, late, twice or not at all; then they all go."""
    chance = random.Random(seed)
    for step in range(60):
        one = both[chance.choice(SIDES)]
        record = f"c{chance.randrange(4)}"
        match chance.randrange(5):
            case 0 | 1:
                address = f"{record}-{chance.randrange(3)}@{PLANTED}"
                await one.store.edit(record, name=f"n{step}", email=address)
            case 2:
                await one.store.delete(record)
            case _:
                await tell(one, both[other(one.side)], lost=chance.random() < 0.4)
    writes = 0
    for _ in range(3):
        for side in SIDES:
            writes += await tell(both[side], both[other(side)])
    assert await both["auth"].all() == await both["customer"].all()
    assert await tell(both["auth"], both["customer"]) + await tell(both["customer"], both["auth"]) == 0
    for one in both.values():
        live = {name: copy for name, copy in (await one.all()).items() if copy.alive}
        rows = await one.database.fetch("SELECT id, sync_version FROM customer_sync.record")
        assert {row["id"]: row["sync_version"] for row in rows} == {
            name: copy.vector.version for name, copy in live.items()
        }


def other(side: Side) -> Side:
    return SIDES[1 - SIDES.index(side)]


async def tell(one: Sided, there: Sided, *, lost: bool = False) -> int:
    """Everything one side has, told to the other, its answer perhaps lost; how many copies that changed."""
    before = await there.all()
    for record in await one.store.page(100, "", unsynced=False):
        assert isinstance(record, Record)
        copy = record.copy
        incoming = Incoming(record.id, copy, copy.name.value, copy.email.value, copy.vector.version)
        assert (await there.store.receive(incoming)).verdict != "refused"
        if not lost:
            await one.store.mark_synced([(record.id, copy.vector)])
    after = await there.all()
    return sum(after[name] != before.get(name) for name in after)


async def test_edits_made_by_sql_as_the_existing_services_do_are_counted_and_travel(
    both: dict[Side, Sided], running: dict[Side, Running]
) -> None:
    auth = both["auth"]
    text = VAULT.seal_as_of_old(f"ada@{PLANTED}")
    columns = "id, name, email_encrypted, sync_version, last_sync_at"
    await auth.sql(f"INSERT INTO TABLE ({columns}) VALUES ('c1', 'Ada', $1, 1, now())", text)
    await auth.sql("UPDATE TABLE SET name = 'Ada Byron', sync_version = 7")

    await running["auth"].ask("POST", "/trigger")

    assert await both["customer"].sql("SELECT name FROM TABLE") == "Ada Byron"
    assert await both["customer"].sql("SELECT sync_version FROM TABLE") == 2
    await auth.sql("DELETE FROM TABLE")
    await running["auth"].ask("POST", "/trigger")
    assert await both["customer"].sql("SELECT count(*) FROM TABLE") == 0


async def test_a_row_that_does_not_open_is_set_aside_and_the_rest_goes_on(
    both: dict[Side, Sided], running: dict[Side, Running]
) -> None:
    auth = both["auth"]
    for number in range(9):
        await auth.store.edit(f"c{number}", name="Ada", email=f"c{number}@{PLANTED}")
    await auth.sql("UPDATE TABLE SET email_encrypted = 'AAAA' || email_encrypted WHERE id IN ('c2', 'c5')")

    _, told = await running["auth"].ask("POST", "/trigger")

    assert sorted(await both["customer"].all()) == ["c0", "c1", "c3", "c4", "c6", "c7", "c8"]
    assert [one["id"] for one in told["pushed"]["problems"]] == ["c2", "c5"]
    assert (await auth.store.standing()).quarantined == 2
    status, listed = await running["auth"].ask()
    assert (status, len(listed)) == (200, 7)
    await auth.sql(
        "UPDATE TABLE SET email_encrypted = $1 WHERE id = 'c2'", VAULT.seal_as_of_old(f"c2@{PLANTED}")
    )
    await running["auth"].ask("POST", "/trigger")
    assert (await auth.store.standing()).quarantined == 1
    assert "c2" in await both["customer"].all()


async def test_no_address_is_at_rest_in_the_clear_anywhere(
    both: dict[Side, Sided], running: dict[Side, Running], capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        await both["auth"].store.edit(f"c{number}", name="Ada", email=f"c{number}@{PLANTED}")
    await running["auth"].ask("POST", "/trigger")
    await both["customer"].store.edit("c1", name="Bob", email=f"bob@{PLANTED}")
    await both["auth"].store.edit("c1", name="Eve", email=f"eve@{PLANTED}")
    await both["auth"].store.delete("c2")
    await running["auth"].ask("POST", "/trigger")

    for one in both.values():
        tables = await one.database.fetch(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables "
            "WHERE schemaname IN ('public', 'customer_sync')"
        )
        assert len(tables) >= 5
        for table in tables:
            text = await one.database.fetchval(f"SELECT string_agg(t::text, ' ') FROM {table['name']} AS t")
            assert PLANTED not in (text or "")
    assert PLANTED not in "".join(capfd.readouterr())


async def test_an_address_belongs_to_one_record(both: dict[Side, Sided]) -> None:
    auth = both["auth"].store
    await auth.edit("c1", name="Ada", email=f"Ada@{PLANTED}")

    taken = await auth.receive(Incoming("c2", None, "Eve", f"ada@{PLANTED.upper()}", 1))

    assert taken == ("refused", "another record has the same address")
    assert list(await both["auth"].all()) == ["c1"]


async def test_those_who_bring_one_record_at_once_make_it_once(both: dict[Side, Sided]) -> None:
    auth = both["auth"].store
    incoming = Incoming("c1", None, "Ada", f"ada@{PLANTED}", 3)

    taken = await asyncio.gather(*(auth.receive(incoming) for _ in range(4)))

    assert sorted(one.verdict for one in taken) == ["applied", "dropped", "dropped", "dropped"]


async def test_between_older_services_the_higher_version_wins_and_stripe_is_never_touched(
    both: dict[Side, Sided],
) -> None:
    customer = both["customer"]
    await customer.store.receive(Incoming("c1", None, "Ada", "", 3))
    await customer.sql("UPDATE TABLE SET stripe_customer_id = 'cus_1'")
    names = []
    for version, name in ((3, "equal"), (2, "lower"), (0, "none"), (5, "higher"), (5, "again")):
        await customer.store.receive(Incoming("c1", None, name, "", version))
        names.append(await customer.sql("SELECT name FROM TABLE"))

    assert names == ["Ada", "Ada", "Ada", "higher", "higher"]
    assert await customer.sql("SELECT sync_version FROM TABLE") == 5
    assert await customer.sql("SELECT stripe_customer_id FROM TABLE") == "cus_1"


async def test_tables_of_the_existing_service_are_taken_over_with_their_format(
    servers: RunningServers,
) -> None:
    async with servers.fresh_database() as url:
        database = await Database.open(url)
        await database.execute(
            "CREATE TABLE customers (id varchar(256) PRIMARY KEY, name varchar(256) NOT NULL, "
            "email_encrypted text NOT NULL, stripe_customer_id varchar(256))"
        )
        insert = "INSERT INTO customers VALUES ('c1', 'Ada', $1, 'cus_1')"
        await database.execute(insert, VAULT.seal_as_of_old(f"ada@{PLANTED}"))
        await migrate(url, [("customer", migrations["customer"])])
        side = Sided("customer", database)

        await side.store.edit("c2", name="Bob", email=f"bob@{PLANTED}")

        assert sorted(await side.all()) == ["c1", "c2"]
        assert (await side.all())["c1"].email.value == f"ada@{PLANTED}"
        assert not (await side.sql("SELECT email_encrypted FROM TABLE WHERE id = 'c2'")).startswith(
            f"{FORM}."
        )
        debug = (
            "SELECT id, name, sync_version, last_sync_at, updated_at FROM customers ORDER BY updated_at DESC"
        )
        assert len(await database.fetch(debug)) == 2
        await database.close()


async def test_with_an_existing_service_over_http_both_databases_hold_the_same_people(
    both: dict[Side, Sided],
) -> None:
    auth = both["auth"]
    async with old_service("customer") as old:
        named = of("auth", customer_service_url=Dsn(old.url), legacy=("customer",), anonymous=("customer",))
        async with served("auth", auth.records, named) as serving:
            await old.put("peer", serving.url)
            await old.put("rows", [{"id": "c1", "name": "Bob", "email": f"bob@{PLANTED}"}])
            await auth.store.edit("a1", name="Ada", email=f"ada@{PLANTED}")
            status, told = await serving.ask("POST", "/trigger")
            rows = await old.get("rows")

    assert (status, told["pulled"]["counts"], told["pushed"]["counts"]) == (
        200,
        {"applied": 1},
        {"applied": 1},
    )
    assert rows["a1"]["email"] == f"ada@{PLANTED}"
    assert sorted(await auth.all()) == ["a1", "c1"]
    assert (await auth.store.standing()).unsynced == 0


async def test_the_commands_set_up_serve_sync_and_change_keys(servers: RunningServers) -> None:
    async with servers.fresh_database() as auth, servers.fresh_database() as customer:
        names = {"HEADWATER_APP_AUTH_URL": auth, "HEADWATER_APP_CUSTOMER_URL": customer}
        names |= {"ENCRYPTION_KEY": KEY.reveal(), "HEADWATER_EMBEDDED": "off"}
        assert (await headwater("db", "migrate", **names))[0] == 0
        database = await Database.open(auth)
        await Store(database, "auth", VAULT).edit("c1", name="Ada", email=f"ada@{PLANTED}")
        code, text = await headwater("--json", "sync", "customers", "status", **names)
        assert (code, json.loads(text)["sides"]["auth"]["unsynced"]) == (1, 1)

        key = {"HEADWATER_CUSTOMER_SYNC_ANONYMOUS": "auth", "HEADWATER_CUSTOMER_SYNC_INTERVAL": "0"}
        words = ("sync", "customers", "serve", "--side", "customer", "--port", "0")
        serving = await started(*words, **names, **key)
        assert serving.stderr is not None
        said = b""
        while b"serving the customer side on" not in said:
            said = await serving.stderr.readline()
        url = said.decode().split(" on ")[1].strip().removesuffix("/api/v3")
        there = {**names, "CUSTOMER_SERVICE_URL": url}
        code, text = await headwater("--json", "sync", "customers", "trigger", **there)
        serving.terminate()
        assert (code, json.loads(text)["pushed"]["counts"]) == (0, {"applied": 1})
        assert await serving.wait() == 0

        newer = {**names, "ENCRYPTION_KEY": "b1" * 31 + "02"}
        newer["HEADWATER_CUSTOMER_SYNC_OLDER_KEYS"] = KEY.reveal()
        for expected in (1, 0):
            code, text = await headwater("--json", "keys", "rotate", **newer)
            done = json.loads(text)["sides"]
            assert (code, done["auth"]["changed"], done["customer"]["changed"]) == (0, expected, expected)
        assert (await headwater("keys", "rotate", "--dry-run", **names))[0] == 1  # what it says does not open
        await database.close()


async def started(*words: str, **names: str) -> asyncio.subprocess.Process:
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    program = (sys.executable, "-m", "headwater", *words)
    return await asyncio.create_subprocess_exec(*program, env={**os.environ, **names}, cwd=ROOT, **pipes)


async def headwater(*words: str, **names: str) -> tuple[int | None, str]:
    process = await started(*words, **names)
    out, error = await process.communicate()
    assert PLANTED not in (out + error).decode()
    return process.returncode, out.decode()


async def test_the_admin_interface_serves_the_sides_whose_databases_it_knows(both: dict[Side, Sided]) -> None:
    await both["auth"].store.edit("c1", name="Ada", email=f"ada@{PLANTED}")
    apps = {side: Dsn(one.database.url) for side, one in both.items()}
    settings = Settings(apps=apps, admin=LIMITS, customer_sync=of("auth"))
    async with wired(find(ROOT), settings) as wiring:
        app = admin_application(KeyRing(LIMITS.keys), mounts=await mounts(wiring), limits=LIMITS)
        async with run_admin(app, "127.0.0.1", 0) as (_, port), aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/api/v3"
            headers = {"X-API-Key": ISSUED["ops"][0]}
            found = {}
            for path in ("auth", "customers"):
                async with session.get(f"{url}/{path}/sync", headers=headers) as answer:
                    found[path] = [one["id"] for one in await answer.json()]
    assert found == {"auth": ["c1"], "customers": []}
    async with wired(find(ROOT), Settings(apps=apps)) as wiring:
        assert await mounts(wiring) == {}


async def test_two_that_swapped_their_addresses_have_them_swapped_on_the_other_side_too(
    both: dict[Side, Sided], running: dict[Side, Running]
) -> None:
    auth, customer = both["auth"], both["customer"]
    one, two, between = (f"{name}@{PLANTED}" for name in ("one", "two", "between"))
    await auth.store.edit("s1", name="Ada", email=one)
    await auth.store.edit("s2", name="Bob", email=two)
    await running["auth"].ask("POST", "/trigger")
    for record, email in (("s1", between), ("s2", one), ("s1", two)):
        await auth.store.edit(record, name=record, email=email)

    _, told = await running["auth"].ask("POST", "/trigger")

    assert told["pushed"]["failed"] == 0
    assert await auth.all() == await customer.all()
    found = await customer.database.fetch("SELECT id, email_index FROM customers ORDER BY id")
    assert [row["email_index"] for row in found] == [VAULT.index(two), VAULT.index(one)]


async def test_an_address_that_became_free_is_given_to_somebody_new_within_two_syncs(
    both: dict[Side, Sided], running: dict[Side, Running]
) -> None:
    auth, customer = both["auth"], both["customer"]
    await auth.store.edit("z1", name="Ada", email=f"shared@{PLANTED}")
    await running["auth"].ask("POST", "/trigger")
    await auth.store.edit("z1", name="Ada", email=f"other@{PLANTED}")
    await auth.store.edit("a1", name="Eve", email=f"shared@{PLANTED}")  # read before the one who had it

    for _ in range(2):
        await running["auth"].ask("POST", "/trigger")

    assert await auth.all() == await customer.all()
    assert (await customer.store.standing()).unsynced == 0
