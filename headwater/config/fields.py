"""One setting: its names, type, range and meaning, declared beside its default and read from there.

    block: Annotated[float, about("Longest wait of one read.", above=0, most=60, unit="duration")] = 2.0

Everything else (parsing, checking, `config env`, `.env.example`) follows from that line.
"""

from __future__ import annotations

import functools
import math
import re
import types
import typing
from typing import Any, Literal

import msgspec

from headwater.config.values import AdminKey, Dsn, Secret, duration, plain, spell
from headwater.errors import SettingsError

PREFIX = "HEADWATER_"
_WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_KINDS = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "duration": "a duration",
    "list": "a list",
    "keys": "a list of keys",
    "secret": "a secret",
}
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?")
_UNITS = {"milliseconds": 0.001, "minutes": 60.0, "days": 86_400.0}


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a declaration says of a setting beyond its type and default."""

    doc: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    duration: bool = False
    seed: str = ""
    """The name the existing systems use; shown first, and accepted without our prefix."""
    seed_unit: Literal["", "milliseconds", "minutes", "days"] = ""
    """What a bare number means under the seed's name."""
    aliases: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    pattern: str = ""
    """Regular expression that the whole text matches."""
    form: str = ""
    """The pattern in words."""
    live: bool = False
    """`headwater config set` changes it while processes run."""


def about(doc: str, **details: Any) -> About:
    """The meaning of a setting, for its annotation."""
    return About(doc=doc, **details)


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of the tree."""

    path: tuple[str, ...]
    kind: str
    """text, choice, integer, number, boolean, duration, list, keys, secret, url, urls."""
    choices: tuple[str, ...]
    optional: bool
    default: Any
    about: About

    @property
    def dotted(self) -> str:
        """Its place in the tree: `broker.block`."""
        return ".".join(self.path)

    @property
    def own_name(self) -> str:
        """Its variable with our prefix."""
        return PREFIX + "_".join(self.path).upper()

    @property
    def name(self) -> str:
        """The variable it is best known by."""
        return self.about.seed or self.own_name

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that sets it, the strongest first."""
        return tuple(dict.fromkeys((self.own_name, self.name, *self.about.aliases)))

    def parse(self, value: Any, name: str) -> Any:
        """The checked value of what a source gives under `name`.

        Raises SettingsError naming the setting and what is accepted; never shows a secret.
        """
        try:
            parsed = self._read(value, name)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            reason = f": {error}" if self.kind == "keys" else ""
            raise self._refused(name, value, reason) from None
        self.check(parsed, name, value)
        return parsed

    def check(self, value: Any, name: str = "", given: Any = None) -> None:
        """Raises SettingsError when the value is out of range."""
        if value is None and self.optional:
            return
        if not self._fits(value):
            reason = (
                " (in a password, / ? # @ are written %2F %3F %23 %40)"
                if self.kind in {"url", "urls"}
                else ""
            )
            raise self._refused(name or self.dotted, value if given is None else given, reason)

    def _fits(self, value: Any) -> bool:
        details = self.about
        match self.kind:
            case "integer" | "number" | "duration":
                return (
                    math.isfinite(value)
                    and (details.least is None or value >= details.least)
                    and (details.above is None or value > details.above)
                    and (details.most is None or value <= details.most)
                )
            case "choice":
                return value in self.choices
            case "url":
                return _is_url(value, details.schemes)
            case "urls":
                return all(_is_url(url, details.schemes) for url in value.values())
            case "text" | "secret":
                text = value.reveal() if isinstance(value, Secret) else value
                return not details.pattern or re.fullmatch(details.pattern, text) is not None
            case _:
                return True

    def accepted(self, name: str = "") -> str:
        """What may be given under a name, in words: `a whole number from 1 up to 60`."""
        details = self.about
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if details.schemes:
            return f"a URL with {', '.join(f'{scheme}://' for scheme in details.schemes)}"
        if self.kind not in {"integer", "number", "duration"}:
            return details.form or _KINDS[self.kind]
        seeded = self._in_seed_unit(name)
        words = [f"a number of {details.seed_unit}" if seeded else _KINDS[self.kind]]
        if details.least is not None:
            words.append(f"from {self.write(details.least, name)}")
        if details.above is not None:
            words.append(f"above {self.write(details.above, name)}")
        if details.most is not None:
            words.append(f"{'up to' if len(words) > 1 else 'at most'} {self.write(details.most, name)}")
        return " ".join(words)

    def write(self, value: Any, name: str = "") -> str:
        """The value as one would write it under a name; secrets masked; empty for none."""
        if value is None:
            return ""
        if self.kind == "duration":
            unit = self._in_seed_unit(name or self.name)
            return plain(value / unit) if unit else spell(value)
        if self.kind == "boolean":
            return "true" if value else "false"
        if self.kind in {"list", "keys"}:
            return ",".join(str(item) for item in value)
        return plain(value) if self.kind in {"integer", "number"} else str(value)

    def _in_seed_unit(self, name: str) -> float | None:
        """Seconds in the unit of a bare number, where it is the seed's."""
        unit = self.about.seed_unit
        return _UNITS[unit] if unit and name == self.about.seed else None

    def _read(self, value: Any, name: str) -> Any:
        given: Any = value.strip() if isinstance(value, str) else value
        match self.kind:
            case "duration" | "integer" | "number":
                return self._read_number(given, name)
            case "boolean":
                return given if isinstance(given, bool) else _WORDS[str(given).lower()]
            case "list":
                return _items(given)
            case "keys":
                return tuple(AdminKey.parse(item) for item in _items(given))
            case "urls":
                return {_text(key).lower(): Dsn(_text(url)) for key, url in given.items()}
            case _:
                return {"url": Dsn, "secret": Secret}.get(self.kind, str)(_text(given))

    def _read_number(self, given: Any, name: str) -> float | int:
        if isinstance(given, bool):
            raise TypeError("not a number")
        if self.kind == "duration":
            return duration(given, unit=self._in_seed_unit(name) or 1.0)
        if self.kind == "number":
            return float(given)
        if isinstance(given, float):
            raise TypeError("not a whole number")
        return int(given)

    def _refused(self, name: str, value: Any, reason: str = "") -> SettingsError:
        hidden = self.kind in {"url", "urls", "secret", "keys"}
        given = "" if hidden else f" ({value})"
        return SettingsError(
            f"{name}{given} is not {self.accepted(name)}{reason}",
            hint=f"correct {name}, or remove it for the default: {self.write(self.default, name) or 'none'}",
        )


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings. Building one by hand checks the same ranges as loading it."""

    def __post_init__(self) -> None:
        for field in declared(type(self)):
            field.check(getattr(self, field.path[-1]))


@functools.cache
def declared(section: type[Section]) -> tuple[Field, ...]:
    """The settings of one section, without those of the sections in it."""
    hints = typing.get_type_hints(section, include_extras=True)
    fields = []
    for name, default in zip(section.__struct_fields__, _defaults(section), strict=True):
        hint = hints[name]
        if typing.get_origin(hint) is typing.Annotated:
            bare, details = typing.get_args(hint)[:2]
            kind, choices, optional = _kind(bare, details)
            fields.append(
                Field(
                    path=(name,),
                    kind=kind,
                    choices=choices,
                    optional=optional,
                    default=default,
                    about=details,
                )
            )
    return tuple(fields)


def sections(section: type[Section]) -> dict[str, type[Section]]:
    """The sections directly in one."""
    hints = typing.get_type_hints(section)
    return {
        name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Section)
    }


def _defaults(section: type[Section]) -> list[Any]:
    found = []
    for field in msgspec.structs.fields(section):
        made = field.default_factory
        found.append(made() if made is not msgspec.NODEFAULT else field.default)
    return found


def _kind(bare: Any, details: About) -> tuple[str, tuple[str, ...], bool]:
    optional = isinstance(bare, types.UnionType)
    if optional:
        bare = next(part for part in typing.get_args(bare) if part is not type(None))
    if typing.get_origin(bare) is Literal:
        return "choice", typing.get_args(bare), optional
    simple = {str: "text", int: "integer", bool: "boolean", Dsn: "url", Secret: "secret"}
    if bare is float:
        return ("duration" if details.duration else "number"), (), optional
    if typing.get_origin(bare) is dict:
        return "urls", (), optional
    if typing.get_origin(bare) is tuple:
        return ("keys" if typing.get_args(bare)[0] is AdminKey else "list"), (), optional
    return simple[bare], (), optional


def _items(given: Any) -> tuple[str, ...]:
    items = given.replace("\n", ",").split(",") if isinstance(given, str) else given
    return tuple(filter(None, (_text(item).strip() for item in items)))


def _is_url(url: Dsn, schemes: tuple[str, ...]) -> bool:
    scheme, _, rest = url.reveal().partition("://")
    hosts = re.split(r"[/?#]", rest)[0].rpartition("@")[2].split(",")
    # Drivers name a port that is no number in their error: behind an unescaped # or / it is the password.
    return scheme in schemes and all(_HOST.fullmatch(host) for host in hosts)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
