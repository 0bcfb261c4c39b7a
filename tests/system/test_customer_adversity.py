"""A service that lies, far counts, two who decide at once: nothing is lost, and nothing secret told."""

from __future__ import annotations

import pytest

from consumers.customer_records.meeting import MOST_EDITS, SIDES, Copy, Edit, Field, Side, Vector
from consumers.customer_records.store import Incoming, Store
from tests.system.test_customer_endpoints import of, sealed, served
from tests.system.test_customer_sync import PLANTED, VAULT, Sided, both

__all__ = ["both"]


async def exchanged(both: dict[Side, Sided]) -> list[str]:
    """Every copy of each side arrives at the other; what became of each."""
    verdicts = []
    for one, other in (SIDES, SIDES[::-1]):
        for record, copy in (await both[one].all()).items():
            incoming = Incoming(record, copy, copy.name.value, copy.email.value, copy.vector.version)
            verdicts.append((await both[other].store.receive(incoming)).verdict)
    return verdicts


async def test_counts_as_far_on_as_is_believed_fit_and_stop_no_edit_of_anybody(
    both: dict[Side, Sided],
) -> None:
    most = MOST_EDITS
    far = Copy(Vector(most, most), Field("Ada", Edit("auth", most)), Field("", Edit("customer", most)))

    taken = await both["auth"].store.receive(Incoming("c1", far, "Ada", "", 2 * most))
    assert taken.verdict == "applied"
    await both["auth"].sql("UPDATE TABLE SET name = 'Ada Byron'")
    await both["auth"].store.edit("c1", name="Ada", email=f"ada@{PLANTED}")
    await both["auth"].store.delete("c1")

    assert (await both["auth"].all())["c1"].vector == (most + 3, most)
    assert (await both["auth"].store.standing()).unsynced == 1


@pytest.mark.parametrize("count", [MOST_EDITS + 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**200])
async def test_counts_beyond_are_refused_and_the_record_stays_as_it_was(
    both: dict[Side, Sided], count: int
) -> None:
    auth = both["auth"]
    await auth.store.edit("c1", name="Ada", email="")
    before = await auth.all()
    edits = {"auth": 1, "customer": count, "name": ["customer", 1], "email": ["customer", 1]}
    async with served("auth", auth.records, of("auth")) as serving:
        status, body = await serving.ask("POST", json=[sealed("c1", edits=edits), sealed("c2")])

    assert status == 200
    assert [one["verdict"] for one in body["results"]] == ["refused", "applied"]
    assert (await auth.all())["c1"] == before["c1"]
    await auth.sql("UPDATE TABLE SET name = 'Ada Byron' WHERE id = 'c1'")
    assert (await auth.all())["c1"].vector == (2, 0)


async def test_an_address_that_stands_in_the_clear_is_set_aside_and_not_told(both: dict[Side, Sided]) -> None:
    auth = both["auth"]
    for number, text in enumerate(
        (f"zora.quill@{PLANTED}", f"v1.zora@{PLANTED}", f"v1.zora.quill@{PLANTED}")
    ):
        await auth.sql(
            "INSERT INTO TABLE (id, name, email_encrypted) VALUES ($1, 'J', $2)", f"c{number}", text
        )
    async with served("auth", auth.records, of("auth")) as serving:
        assert await serving.ask() == (200, [])
        _, body = await serving.ask("POST", json=[sealed("c1", email=f"zora.quill@{PLANTED}"), sealed("c2")])

    reasons = await auth.database.fetchval("SELECT string_agg(reason, ' ') FROM customer_sync.quarantine")
    assert len(await auth.all()) == 3
    for told in (reasons, str(body)):
        assert not any(part in told for part in ("zora", "quill", "planted"))


async def test_two_who_decide_one_conflict_differently_at_once_are_told_and_both_sides_end_alike(
    both: dict[Side, Sided],
) -> None:
    await both["auth"].store.edit("c1", name="Ada", email="")
    await exchanged(both)
    for one in both.values():
        one.store = Store(one.database, one.side, VAULT, None)
        await one.store.edit("c1", name=f"Ada of {one.side}", email="")
    assert await exchanged(both) == ["conflict", "conflict"]

    for one in both.values():
        assert await one.store.resolve("c1", one.side)
    assert await exchanged(both) == ["conflict", "conflict"]
    assert [(await one.store.standing()).conflicts for one in both.values()] == [1, 1]

    assert await both["auth"].store.resolve("c1", "customer")
    assert "applied" in await exchanged(both)
    assert await both["auth"].all() == await both["customer"].all()
    assert [await one.sql("SELECT name FROM TABLE") for one in both.values()] == ["Ada of customer"] * 2
    assert [(await one.store.standing()).conflicts for one in both.values()] == [0, 0]
    assert set(await exchanged(both)) == {"dropped"}


async def test_a_post_that_comes_again_and_again_in_any_order_writes_once(both: dict[Side, Sided]) -> None:
    auth = both["auth"]
    versions = [
        sealed(
            "c1",
            name=f"n{n}",
            edits={"auth": 0, "customer": n, "name": ["customer", n], "email": ["customer", 1]},
        )
        for n in (1, 2, 3)
    ]
    row = "SELECT to_jsonb(t) - 'last_sync_at' FROM TABLE AS t"
    async with served("auth", auth.records, of("auth")) as serving:
        _, first = await serving.ask("POST", json=versions[::-1])
        stands = await auth.sql(row)
        _, again = await serving.ask("POST", json=versions * 300)

    assert [one["verdict"] for one in first["results"]] == ["applied", "dropped", "dropped"]
    assert again["counts"] == {"dropped": 900}
    assert (await auth.sql(row), await auth.sql("SELECT name FROM TABLE")) == (stands, "n3")
