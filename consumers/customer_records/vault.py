"""E-mail addresses under lock and key: AES-256-GCM, in the format of old and in one that names its key.

`v1.<key id>.<base64url of nonce, ciphertext, tag>` is bound to its table and record: moved to another
row it does not open. The format of old, base64 of the same three without key id or binding, is always
read. A random nonce makes equal addresses unequal texts; to look one up there is an index of its own.
Nothing here ever puts an address, or a part of one, into an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from headwater.errors import HeadwaterError, SettingsError

NONCE, TAG = 12, 16
"""Bytes of each."""
FORM = "v1"
"""The format that names its key."""
_KEY_ID = re.compile("[0-9a-f]{16}")
TRANSPORT = "transport"
"""In place of a table: on a stream, or between two services."""


class Sealed(HeadwaterError):
    """A text does not open: damaged, of another record, or under a key that is not here."""


@dataclass(frozen=True)
class Key:
    """One `ENCRYPTION_KEY`, and what is derived from it."""

    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Key:
        """From 64 hex digits. Raises SettingsError."""
        try:
            secret = bytes.fromhex(text)
        except ValueError:
            secret = b""
        if len(secret) != 32 or len(set(secret)) == 1:
            raise SettingsError("a key has 64 hex digits, not one byte repeated", hint="openssl rand -hex 32")
        return cls(secret)

    @cached_property
    def id(self) -> str:
        """Tells keys apart, and tells nothing of them: what two services compare."""
        return self._derived("id").hex()[:16]

    @cached_property
    def sealing(self) -> AESGCM:
        """For texts that name their key."""
        return AESGCM(self._derived("seal"))

    @cached_property
    def old(self) -> AESGCM:
        """For the format of old, which takes the key as it is."""
        return AESGCM(self.secret)

    @cached_property
    def indexing(self) -> bytes:
        """For the index."""
        return self._derived("index")

    def _derived(self, purpose: str) -> bytes:
        return HKDF(SHA256(), 32, None, f"headwater customers {purpose}".encode()).derive(self.secret)


def normal(address: str) -> str:
    """An address as it is compared: the same whatever its case, its blanks and its way of writing accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", address).strip().casefold())


class Vault:
    """Seals under one key; opens under that and older ones."""

    def __init__(self, key: Key, older: Iterable[Key] = ()) -> None:
        self.key = key
        self._keys = {one.id: one for one in (*older, key)}

    @property
    def older(self) -> list[str]:
        """Ids of the keys that only open, the newest first."""
        return [name for name in reversed(self._keys) if name != self.key.id]

    def seal(self, table: str, record: str, address: str) -> str:
        """An address for one record of one table, or for the way there (`TRANSPORT`)."""
        nonce = os.urandom(NONCE)
        bound = _bound(table, record, self.key.id)
        text = base64.urlsafe_b64encode(nonce + self.key.sealing.encrypt(nonce, address.encode(), bound))
        return f"{FORM}.{self.key.id}.{text.decode()}"

    def seal_as_of_old(self, address: str) -> str:
        """The same as the existing services do it: for databases that they still read."""
        nonce = os.urandom(NONCE)
        return base64.b64encode(nonce + self.key.old.encrypt(nonce, address.encode(), None)).decode()

    def open(self, table: str, record: str, text: str) -> str:
        """The address. The empty text is the empty address, as the auth service has it. Raises Sealed."""
        if not text:
            return ""
        form, _, rest = text.partition(".")
        if not rest:
            return self._open_old(text)
        identity, _, body = rest.partition(".")
        if form != FORM or not _KEY_ID.fullmatch(identity):  # nothing of it is told: it may be an address
            raise Sealed("a text of no form that is known here")
        if identity not in self._keys:
            raise Sealed(f"a text under the key {identity!r}, which is not here")
        key, raw = self._keys[identity], _raw(body, b"-_")
        try:
            opened = key.sealing.decrypt(raw[:NONCE], raw[NONCE:], _bound(table, record, identity))
        except InvalidTag:
            raise Sealed("a text that was changed, or that belongs to another record") from None
        return _text(opened)

    def _open_old(self, text: str) -> str:
        raw = _raw(text, b"+/")
        for key in reversed(self._keys.values()):
            try:
                return _text(key.old.decrypt(raw[:NONCE], raw[NONCE:], None))
            except InvalidTag:
                continue
        raise Sealed("a text that was changed, or that is under a key that is not here")

    def current(self, text: str) -> bool:
        """Whether a text is in the newest form, under the newest key; the empty one has neither."""
        return not text or text.startswith(f"{FORM}.{self.key.id}.")

    def index(self, address: str) -> str | None:
        """What an address is looked up and compared by; None for the empty one, which many may have."""
        return f"{self.key.id}.{_mac(self.key, address)}" if address else None

    def indexes(self, address: str) -> list[str]:
        """What it may stand under while keys change, the newest first."""
        return [f"{key.id}.{_mac(key, address)}" for key in reversed(self._keys.values())]


def _mac(key: Key, address: str) -> str:
    return hmac.new(key.indexing, normal(address).encode(), hashlib.sha256).hexdigest()


def _bound(table: str, record: str, identity: str) -> bytes:
    return "|".join(("hw1", table, "email", str(len(record)), record, identity)).encode()


def _raw(text: str, signs: bytes) -> bytes:
    try:
        raw = base64.b64decode(text, altchars=signs, validate=True)
    except (binascii.Error, ValueError):
        raise Sealed("a text that is no base64") from None
    if len(raw) < NONCE + TAG:
        raise Sealed("a text that is too short")
    return raw


def _text(opened: bytes) -> str:
    try:
        return opened.decode()
    except UnicodeDecodeError:
        raise Sealed("what opened is no text") from None
