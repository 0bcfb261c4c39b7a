"""Values that settings are made of: secrets that do not print themselves, durations, admin keys."""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"^(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h|d)$")
_USERINFO = re.compile(r"(://[^\s:/@\"']*):[^\s\"]*@")
_PASSWORD = re.compile(r"(\b(?:ssl)?pass(?:word|wd)?\s*=\s*)('[^']*'|[^\s&\"']+)", re.IGNORECASE)


def masked(text: str) -> str:
    """The text with the password of every connection URL and `password=` in it replaced by `***`."""
    return _PASSWORD.sub(r"\1***", _USERINFO.sub(r"\1:***@", text))


class Secret:
    """A text that only `reveal()` shows; printing, formatting and `repr` give `***`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the call that needs it, never for a log or an answer."""
        return self._text

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


class Dsn(Secret):
    """A connection URL; printed with its password masked."""

    __slots__ = ()

    def __str__(self) -> str:
        return masked(self._text)


def duration(value: str | float, *, unit: float = 1.0) -> float:
    """Seconds from `30s`, `500ms`, `5m`, `2h`, `7d`, or from a bare number of `unit` seconds.

    Raises ValueError when it is none of these.
    """
    if not isinstance(value, str):
        return float(value) * unit
    found = _DURATION.match(value.strip())
    if found is None:
        return float(value) * unit
    return round(float(found[1]) * _SECONDS[found[2]], 9)


def plain(number: float) -> str:
    """A number without exponent and without zeros at its end."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def spell(seconds: float) -> str:
    """A duration as one would write it: `30s`, `500ms`, `7d`; `duration` reads it back."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{plain(seconds)}s"


class AdminKey(msgspec.Struct, frozen=True, kw_only=True):
    """Who may use the admin HTTP interface, and for which tenants."""

    id: str
    digest: str
    """SHA-256 of the key's secret part, hex. The secret itself is nowhere."""
    scopes: frozenset[str]
    """`read`, `write`."""
    tenants: frozenset[str]
    """Tenant ids, lower case; `*` for all."""
    expires: datetime | None = None

    known_scopes: ClassVar[frozenset[str]] = frozenset({"read", "write"})

    @classmethod
    def parse(cls, line: str) -> AdminKey:
        """From `id:sha256hex:scopes:tenants[:expiry]`; scopes and tenants joined by `+`, expiry a date.

        Raises ValueError saying which part is wrong, without showing the line.
        """
        parts = [part.strip() for part in line.split(":", 4)]
        if len(parts) < 4:
            raise ValueError("an admin key is written id:sha256hex:scopes:tenants[:expiry]")
        scopes, tenants = (frozenset(filter(None, part.split("+"))) for part in parts[2:4])
        if not re.fullmatch(r"[A-Za-z0-9-]{1,32}", parts[0]):
            raise ValueError("the id of an admin key is 1 to 32 letters, digits or -")
        if not re.fullmatch(r"[0-9a-f]{64}", parts[1]):
            raise ValueError(f"the digest of admin key {parts[0]!r} is not 64 lower-case hex digits")
        if not scopes or scopes - cls.known_scopes:
            raise ValueError(f"the scopes of admin key {parts[0]!r} are read, write or read+write")
        if not tenants:
            raise ValueError(f"admin key {parts[0]!r} names no tenant; * stands for all")
        return cls(
            id=parts[0],
            digest=parts[1],
            scopes=scopes,
            tenants=frozenset(tenant.lower() for tenant in tenants),
            expires=_expiry(parts[4]) if len(parts) == 5 and parts[4] else None,
        )

    def __str__(self) -> str:
        words = [self.id, "***", "+".join(sorted(self.scopes)), "+".join(sorted(self.tenants))]
        return ":".join(words + ([self.expires.isoformat()] if self.expires else []))


def _expiry(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
