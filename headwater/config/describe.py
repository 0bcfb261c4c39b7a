"""Every setting in words: what `headwater config` prints and `.env.example` holds."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

import msgspec

from headwater.config.fields import PREFIX, sections
from headwater.config.load import all_fields
from headwater.config.settings import Settings

_HEAD = """\
# Every setting, with its default. Copy to .env and change what you need; an empty value is not set.
# Durations: 500ms, 30s, 5m, 2h, 7d, or a number of seconds. Lists: by comma. Yes or no: true, false.
# NAME_FILE=/path in place of NAME=value reads a mounted secret.
# Order of strength: headwater.toml < .env < environment < flags. `headwater config show --sources` tells.
"""


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, for people."""

    name: str
    """The variable."""
    default: str
    """As one would write it; empty for none."""
    type: str
    """What is accepted: kind and range."""
    doc: str
    section: str
    """Where in `headwater.toml`; empty at its top."""
    key: str
    """Its dotted name."""
    aliases: tuple[str, ...]
    """Other variables that set it."""


def describe() -> tuple[Described, ...]:
    """Every setting there is, in declared order."""
    found = []
    for field in all_fields():
        name = f"{PREFIX}APP_<NAME>_URL" if field.kind == "urls" else field.name
        found.append(
            Described(
                name=name,
                default="" if field.kind == "urls" else field.write(field.default, field.name),
                type=field.accepted(field.name),
                doc=field.about.doc,
                section=".".join(field.path[:-1]),
                key=field.dotted,
                aliases=() if field.kind == "urls" else tuple(set(field.names) - {name}),
            )
        )
    return tuple(found)


def section_doc(section: str) -> str:
    """What the settings of a section are for; empty for those at the top."""
    return inspect.getdoc(sections(Settings)[section]) or "" if section else ""


def env_example() -> str:
    """The text of `.env.example`."""
    lines, section = [_HEAD], ""
    for one in describe():
        if one.section != section:
            section = one.section
            lines.append(f"# --- {section} " + "-" * (90 - len(section)))
            lines.append(f"# {section_doc(section)}\n")
        also = f" Also: {', '.join(sorted(one.aliases))}." if one.aliases else ""
        lines.extend(
            textwrap.wrap(f"{one.doc} ({one.type}){also}", 106, initial_indent="# ", subsequent_indent="# ")
        )
        lines.append(f"# {one.name}=\n" if "<" in one.name else f"{one.name}={one.default}\n")
    return "\n".join(lines)


def show(settings: Settings) -> list[dict[str, Any]]:
    """Every value in force as `key`, `name`, `value` (secrets masked) and `source`."""
    rows = []
    for field in all_fields():
        value: Any = settings
        for name in field.path:
            value = getattr(value, name)
        source = settings.source_of(field.dotted)
        if field.kind != "urls":
            shown = field.write(value, field.own_name)
            rows.append({"key": field.dotted, "name": field.name, "value": shown, "source": source})
            continue
        rows += [
            {
                "key": f"apps.{app}",
                "name": f"{PREFIX}APP_{app.upper()}_URL",
                "value": str(url),
                "source": source,
            }
            for app, url in value.items()
        ]
    return rows
