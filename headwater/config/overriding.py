"""Settings that may be changed while processes run, laid over those that a process was started with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from headwater.config.fields import Field
from headwater.config.load import all_fields, unknown
from headwater.config.settings import Settings
from headwater.errors import SettingsError


class Overlaid(NamedTuple):
    """What is in force, and what could not be."""

    settings: Settings
    refused: dict[str, SettingsError]
    """By name: rows that no `headwater config set` wrote."""


def changeable() -> tuple[Field, ...]:
    """The settings that take effect while a process runs."""
    return tuple(field for field in all_fields() if field.about.live)


def override(name: str, value: str) -> tuple[str, str]:
    """(name, value) as they are stored, of any name of the setting. Raises SettingsError."""
    field = _field(name)
    return field.name, field.write(field.parse(value, name), field.name)


def stored_name(name: str) -> str:
    """The name that a setting is stored under. Raises SettingsError: unknown, or not to be changed."""
    return _field(name).name


def overlaid(settings: Settings, rows: Mapping[str, str]) -> Overlaid:
    """The settings with the rows on top; a row that can not be is left out, and told of."""
    refused: dict[str, SettingsError] = {}
    for name, value in rows.items():
        try:
            field = _field(name)
            settings = _with(settings, field, field.parse(value, name))
        except SettingsError as error:
            refused[name] = error
    return Overlaid(settings, refused)


def _with(settings: Settings, field: Field, value: Any) -> Settings:
    section, name = field.path
    changed = msgspec.structs.replace(getattr(settings, section), **{name: value})
    sources = {**settings.sources, field.dotted: f"override {field.name}"}
    return msgspec.structs.replace(settings, **{section: changed, "sources": sources})


def _field(name: str) -> Field:
    fields = {known: field for field in all_fields() for known in (*field.names, field.dotted)}
    if name not in fields:
        raise unknown(name, name, fields)
    if not fields[name].about.live:
        some = ", ".join(field.name for field in changeable())
        raise SettingsError(
            f"{name} is read when a process starts",
            hint=f"set it where the process is started from; while it runs can be changed: {some}",
        )
    return fields[name]
