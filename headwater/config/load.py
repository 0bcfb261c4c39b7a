"""Settings from their sources: defaults < headwater.toml < .env < environment < flags.

Read once, when a command starts. What nobody declared is an error, so that a misspelt name never
leaves a process on a default that its operator believes changed. An empty variable is not set.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values

from headwater.config.fields import PREFIX, Field, Section, declared, sections
from headwater.config.settings import Settings
from headwater.errors import SettingsError

_APP = re.compile(rf"^{PREFIX}APP_([A-Z0-9_]+)_URL$")
_OTHERS = (PREFIX + "TEST_",)  # read by the test fixtures, not by a process

Values = dict[str, tuple[Any, str]]
"""Dotted name -> (value, where it came from)."""


def environment() -> dict[str, str]:
    """The variables of this process."""
    return dict(os.environ)


def load(
    project_dir: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    *,
    env_file: Path | None = None,
) -> Settings:
    """The settings of a process that runs for the project in `project_dir`.

    `flags` are values by dotted name (`redis_url`); None among them is not given. `env_file` stands
    for the project's `.env`, and must exist.

    Raises SettingsError: unknown, unreadable, out of range, or contradicting another.
    """
    by_dotted = {field.dotted: field for field in all_fields()}
    values: Values = {}
    values.update(_from_toml(project_dir / "headwater.toml", by_dotted))
    dotenv = env_file or project_dir / ".env"
    if env_file or dotenv.is_file():
        values.update(_from_variables(_dotenv(dotenv), dotenv.name, values))
    values.update(_from_variables(environ, "environment", values))
    for dotted, value in (flags or {}).items():
        if value is not None:
            name = "--" + dotted.replace(".", "-").replace("_", "-")
            values[dotted] = by_dotted[dotted].parse(value, name), f"flag {name}"
    return _build(values)


def all_fields(section: type[Section] = Settings, path: tuple[str, ...] = ()) -> tuple[Field, ...]:
    """Every setting there is, in declared order."""
    found = [
        Field(
            path=(*path, *field.path),
            kind=field.kind,
            choices=field.choices,
            optional=field.optional,
            default=field.default,
            about=field.about,
        )
        for field in declared(section)
    ]
    for name, inner in sections(section).items():
        found.extend(all_fields(inner, (*path, name)))
    return tuple(found)


def _build(values: Values) -> Settings:
    tree: dict[str, Any] = {"sources": {dotted: source for dotted, (_, source) in values.items()}}
    for dotted, (value, _) in values.items():
        section, _, name = dotted.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    for name, section_type in sections(Settings).items():
        if name in tree:
            tree[name] = section_type(**tree[name])
    settings = Settings(**tree)
    named = settings.user_sync.applications
    return msgspec.structs.replace(settings, apps={**named, **settings.apps}) if named else settings


def _from_toml(path: Path, by_dotted: Mapping[str, Field]) -> Values:
    if not path.is_file():
        return {}
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}") from None
    found: Values = {}
    for dotted, value in _leaves(tree):
        if dotted not in by_dotted:
            raise unknown(f"{dotted} in {path.name}", dotted, by_dotted)
        found[dotted] = by_dotted[dotted].parse(value, dotted), path.name
    return found


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and path + name != "apps":
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield path + name, value


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise SettingsError(f"the env file is not there ({path})")
    return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}


def _from_variables(variables: Mapping[str, str], origin: str, below: Values) -> Values:
    given = {name: value for name, value in variables.items() if value.strip()}
    found: Values = {}
    used: set[str] = set()
    plain = [field for field in all_fields() if field.kind != "urls"]
    for field in plain:
        for name in reversed(field.names):  # the strongest name last
            if read := _read(name, given):
                text, variable = read
                used.add(variable)
                found[field.dotted] = field.parse(text, name), f"{origin} {variable}"
    found.update(_applications(given, origin, below, used))
    for name in given:
        if name.startswith(PREFIX) and name not in used and not name.startswith(_OTHERS):
            known = [name for field in plain for name in field.names]
            raise unknown(f"{name} ({origin})", name, [*known, *(f"{name}_FILE" for name in known)])
    return found


def _applications(given: Mapping[str, str], origin: str, below: Values, used: set[str]) -> Values:
    field = next(field for field in all_fields() if field.kind == "urls")
    urls: dict[str, Any] = {}
    for variable in given:
        name = variable.removesuffix("_FILE")
        matched = _APP.match(name)
        if matched and (read := _read(name, given)):
            used.add(read[1])
            urls.update(field.parse({matched[1].lower(): read[0]}, name))
    if not urls:
        return {}
    inherited, source = below.get(field.dotted, ({}, ""))
    return {field.dotted: ({**inherited, **urls}, f"{source} + {origin}" if source else origin)}


def _read(name: str, given: Mapping[str, str]) -> tuple[str, str] | None:
    """(text, variable) of a setting, itself or from the file that `<name>_FILE` names."""
    path = given.get(f"{name}_FILE")
    if path is None:
        return (given[name], name) if name in given else None
    if name in given:
        raise SettingsError(f"both {name} and {name}_FILE are set", hint="keep one of them")
    try:
        return Path(path).read_text(encoding="utf-8").strip(), f"{name}_FILE"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{name}_FILE can not be read ({path}): {reason}") from None


def unknown(shown: str, name: str, known: Iterable[str]) -> SettingsError:
    """The error for a name that no setting has, with the one that may have been meant."""
    start = PREFIX if name.startswith(PREFIX) else ""  # what all have in common makes none of them near
    rest = {one.removeprefix(start): one for one in known if one.startswith(start)}
    near = difflib.get_close_matches(name.removeprefix(start), list(rest), n=1, cutoff=0.6)
    hint = f"did you mean {rest[near[0]]}?" if near else "headwater config env lists every setting"
    return SettingsError(f"unknown setting {shown}", hint=hint)
