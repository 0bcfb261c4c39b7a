"""One setting: its names, type, range and meaning, declared beside its default and read from there.

    block: Annotated[float, about("Longest wait of one read.", above=0, most=60, unit="duration")] = 2.0

Everything else (parsing, checking, `config env`, `.env.example`) follows from that line.
"""

from __future__ import annotations

import functools
import math
import types
import typing
from typing import Any, Literal

import msgspec

from headwater.config.values import AdminKey, Dsn, Secret, duration, spell
from headwater.errors import SettingsError

PREFIX = "HEADWATER_"
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
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
    """Said when `check` fails for a text: the form that is expected."""


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
        except (ValueError, TypeError, OverflowError) as error:
            reason = f": {error}" if self.kind == "keys" else ""
            raise self._refused(name, value, reason) from None
        self.check(parsed, name, value)
        return parsed

    def check(self, value: Any, name: str = "", given: Any = None) -> None:
        """Raises SettingsError when the value is out of range."""
        if value is None and self.optional:
            return
        details, shown = self.about, value if given is None else given
        if self.kind in {"integer", "number", "duration"}:
            fits = (
                math.isfinite(value)
                and (details.least is None or value >= details.least)
                and (details.above is None or value > details.above)
                and (details.most is None or value <= details.most)
            )
        elif self.kind == "choice":
            fits = value in self.choices
        elif self.kind == "url":
            fits = not details.schemes or value.reveal().partition("://")[0] in details.schemes
        elif self.kind == "urls":
            fits = all(url.reveal().partition("://")[0] in details.schemes for url in value.values())
        else:
            return
        if not fits:
            raise self._refused(name or self.dotted, shown)

    def accepted(self, name: str = "") -> str:
        """What may be given under a name, in words: `from 1 to 60`."""
        details, write = self.about, self._writer(name)
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "boolean":
            return "true or false"
        if details.schemes:
            return f"a {'/'.join(details.schemes)} URL"
        kind = {"integer": "a whole number ", "duration": "a duration like 30s ", "number": "a number "}
        low = f"from {write(details.least)}" if details.least is not None else ""
        low = f"above {write(details.above)}" if details.above is not None else low
        high = f"{'up ' if low else 'at most '}to {write(details.most)}" if low else f"at most {details.most}"
        return (kind.get(self.kind, "") + f"{low} {high if details.most is not None else ''}").strip() or self.kind

    def write(self, value: Any, name: str = "") -> str:
        """The value as one would write it under a name; secrets masked; empty for none."""
        if value is None:
            return ""
        if self.kind == "duration":
            return self._writer(name or self.name)(value)
        if self.kind == "boolean":
            return "true" if value else "false"
        if self.kind in {"list", "keys"}:
            return ",".join(str(item) for item in value)
        return f"{value:g}" if self.kind == "number" else str(value)

    def _writer(self, name: str) -> Any:
        if self.kind != "duration":
            return lambda number: f"{number:g}"
        if name == self.about.seed and self.about.seed_unit:
            return lambda seconds: f"{seconds / _UNITS[self.about.seed_unit]:g}"
        return spell

    def _read(self, value: Any, name: str) -> Any:
        text = value.strip() if isinstance(value, str) else value
        match self.kind:
            case "duration":
                seeded = name == self.about.seed and self.about.seed_unit
                return duration(_no_boolean(text), unit=_UNITS[self.about.seed_unit] if seeded else 1.0)
            case "integer":
                return _whole(text)
            case "number":
                return float(_no_boolean(text))
            case "boolean":
                return text if isinstance(text, bool) else _WORDS[str(text).lower()]
            case "list" | "keys":
                items = [item.strip() for item in text.replace("\n", ",").split(",")] if isinstance(text, str) else text
                return tuple(AdminKey.parse(item) if self.kind == "keys" else item for item in items if item)
            case "url" | "secret":
                return (Dsn if self.kind == "url" else Secret)(_text(text))
            case "urls":
                return {_text(key).lower(): Dsn(_text(url)) for key, url in text.items()}
            case _:
                return _text(text)

    def _refused(self, name: str, value: Any, reason: str = "") -> SettingsError:
        hidden = self.kind in {"url", "urls", "secret", "keys"}
        given = "" if hidden else f" ({value})"
        return SettingsError(
            f"{name} is out of range{given}{reason}",
            hint=f"{name} is {self.accepted(name)}; default {self.write(self.default, name) or 'none'}",
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
                Field(path=(name,), kind=kind, choices=choices, optional=optional, default=default, about=details)
            )
    return tuple(fields)


def sections(section: type[Section]) -> dict[str, type[Section]]:
    """The sections directly in one."""
    hints = typing.get_type_hints(section)
    return {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Section)}


def _defaults(section: type[Section]) -> list[Any]:
    found = []
    for field in msgspec.structs.fields(section):
        made = field.default_factory
        found.append(made() if made is not msgspec.NODEFAULT else field.default)  # type: ignore[operator, misc]  # a factory by then
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


def _whole(value: Any) -> int:
    if isinstance(value, float | bool):
        raise TypeError("not a whole number")
    return int(value)


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError("not a number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
