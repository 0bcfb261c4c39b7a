"""E-mail addresses under lock and key."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from consumers.customer_records.vault import FORM, TRANSPORT, Key, Sealed, Vault, normal
from headwater.errors import SettingsError

OLD, NEW = Key.of("0f" * 31 + "01"), Key.of("a1" * 31 + "02")
VAULT = Vault(NEW, [OLD])
ADDRESS = "ada@acme.example"
texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80)
records = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(texts, records, st.sampled_from(["client_auth", "customers", TRANSPORT]))
def test_what_is_sealed_opens_for_its_record_and_for_no_other(address: str, record: str, table: str) -> None:
    sealed = VAULT.seal(table, record, address)

    assert VAULT.open(table, record, sealed) == address
    assert len(address) < 4 or address.encode() not in base64.urlsafe_b64decode(sealed.rpartition(".")[2])
    for other in ((table, record + "x"), (table + "x", record), (record, table)):
        if other != (table, record):
            with pytest.raises(Sealed):
                VAULT.open(*other, sealed)


@given(texts)
def test_the_format_of_the_existing_services_is_read_and_written(address: str) -> None:
    nonce = b"\x07" * 12
    theirs = base64.b64encode(nonce + AESGCM(NEW.secret).encrypt(nonce, address.encode(), None)).decode()
    ours = VAULT.seal_as_of_old(address)
    raw = base64.b64decode(ours)

    assert VAULT.open("client_auth", "any", theirs) == address
    assert AESGCM(NEW.secret).decrypt(raw[:12], raw[12:], None).decode() == address
    assert not VAULT.current(theirs)


@given(texts, st.data())
def test_one_changed_bit_opens_nothing_and_the_error_tells_nothing(address: str, data: st.DataObject) -> None:
    sealed = VAULT.seal("customers", "c1", address)
    body = sealed.rpartition(".")[2]
    raw = bytearray(base64.urlsafe_b64decode(body))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = f"{FORM}.{NEW.id}.{base64.urlsafe_b64encode(raw).decode()}"

    with pytest.raises(Sealed) as caught:
        VAULT.open("customers", "c1", changed)
    assert len(address) < 4 or address not in str(caught.value)


def test_under_two_keys_both_open_and_the_newer_one_seals() -> None:
    before = Vault(OLD).seal("customers", "c1", ADDRESS)

    assert VAULT.open("customers", "c1", before) == ADDRESS
    assert VAULT.open("customers", "c1", Vault(OLD).seal_as_of_old(ADDRESS)) == ADDRESS
    assert not VAULT.current(before)
    assert VAULT.current(VAULT.seal("customers", "c1", ADDRESS))
    with pytest.raises(Sealed, match="not here"):
        Vault(OLD).open("customers", "c1", VAULT.seal("customers", "c1", ADDRESS))
    with pytest.raises(Sealed, match="not here"):
        Vault(OLD).open("customers", "c1", VAULT.seal_as_of_old(ADDRESS))


@pytest.mark.parametrize(
    "text", ["x", "????", "v1.", "v1.nobody.AAAA", "v2.a.b", "AAAA", "v1..", "\x00", "é" * 50]
)
def test_what_is_no_sealed_text_is_refused(text: str) -> None:
    with pytest.raises(Sealed):
        VAULT.open("customers", "c1", text)


@pytest.mark.parametrize("text", ["zora.quill@acme.example", "v1.zora@acme.example", "v1.zora.quill@acme"])
def test_of_an_address_that_stands_where_a_sealed_text_belongs_no_part_is_told(text: str) -> None:
    with pytest.raises(Sealed) as caught:
        VAULT.open("customers", "c1", text)
    assert not any(part in str(caught.value) for part in ("zora", "quill", "acme"))


def test_an_empty_address_is_an_empty_text_and_has_no_index() -> None:
    assert VAULT.open("customers", "c1", "") == ""
    assert VAULT.open("customers", "c1", VAULT.seal("customers", "c1", "")) == ""
    assert VAULT.open("customers", "c1", VAULT.seal_as_of_old("")) == ""
    assert VAULT.index("") is None


def test_equal_addresses_have_unequal_texts_and_one_index_whatever_their_spelling() -> None:
    assert VAULT.seal("customers", "c1", ADDRESS) != VAULT.seal("customers", "c1", ADDRESS)
    spellings = [ADDRESS, " Ada@ACME.example\t", "ADA@acme.EXAMPLE"]
    assert len({VAULT.index(one) for one in spellings}) == 1
    assert VAULT.index("e\u0301@a.example") == VAULT.index("\u00c9@a.example")
    assert VAULT.index(ADDRESS) != Vault(OLD).index(ADDRESS)
    assert VAULT.indexes(ADDRESS) == [VAULT.index(ADDRESS), Vault(OLD).index(ADDRESS)]


@given(texts)
def test_an_address_that_was_made_comparable_stays_as_it_is(address: str) -> None:
    assert normal(normal(address)) == normal(address)


def test_a_keys_name_tells_nothing_of_it() -> None:
    assert NEW.id != OLD.id
    assert NEW.secret.hex() not in repr(NEW) + NEW.id
    assert NEW.id not in NEW.secret.hex()


@pytest.mark.parametrize("text", ["", "00" * 32, "ab", "zz" * 32, "ab" * 33])
def test_a_weak_or_broken_key_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="64 hex digits"):
        Key.of(text)
