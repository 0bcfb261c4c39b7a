"""Which rows are sealed anew when keys change, and as what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.customer_sync.sealing import Broken, Change, Row, judge
from consumers.customer_records.vault import FORM, Key, Vault

OLD, NEW, FOREIGN = (Key.of(sign * 31 + "02") for sign in ("a1", "b1", "c1"))
BEFORE, AFTER, STRANGER = Vault(OLD), Vault(NEW, [OLD]), Vault(FOREIGN)
TABLE = "customers"
addresses = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def row(vault: Vault, address: str, *, versioned: bool) -> Row:
    if not address:
        return Row("c1", "", None)
    text = vault.seal(TABLE, "c1", address) if versioned else vault.seal_as_of_old(address)
    return Row("c1", text, vault.index(address))


@given(addresses, st.booleans(), st.booleans())
def test_a_changed_row_opens_to_the_same_address_and_is_left_alone_from_then_on(
    address: str, was_versioned: bool, versioned: bool
) -> None:
    before = row(BEFORE, address, versioned=was_versioned)

    change = judge(TABLE, before, AFTER, versioned=versioned)

    if not address:
        assert change is None
        return
    assert isinstance(change, Change)
    assert change.was == before.text
    assert Vault(NEW).open(TABLE, "c1", change.text) == address
    assert change.text.startswith(f"{FORM}.{NEW.id}.") == (versioned or was_versioned)
    assert judge(TABLE, Row("c1", change.text, change.lookup), AFTER, versioned=versioned) is None


@given(addresses.filter(bool))
def test_a_row_without_its_index_gets_one(address: str) -> None:
    text = AFTER.seal_as_of_old(address)

    change = judge(TABLE, Row("c1", text, None), AFTER, versioned=False)

    assert isinstance(change, Change)
    assert change.lookup == AFTER.index(address)


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        STRANGER.seal(TABLE, "c1", "ada@planted.example"),
        STRANGER.seal_as_of_old("ada@planted.example"),
        BEFORE.seal(TABLE, "c2", "ada@planted.example"),
        BEFORE.seal("client_auth", "c1", "ada@planted.example"),
        BEFORE.seal_as_of_old("ada@planted.example")[:-4] + "AAA=",
        "ada@planted.example",
        "v1",
        "=",
    ],
    ids=["stranger", "stranger-old", "other-row", "other-table", "tampered", "plain", "cut", "empty"],
)
def test_a_foreign_or_tampered_row_is_told_without_its_value(text: str, versioned: bool) -> None:
    found = judge(TABLE, Row("c1", text, None), AFTER, versioned=versioned)

    assert isinstance(found, Broken)
    assert "planted" not in repr(found)
