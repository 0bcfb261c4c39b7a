"""compose.yaml and the Dockerfile as data."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]  # its stubs are not in the lock

from tests.contract.tree import ROOT

_VARIABLE = re.compile(r"\$\$|\$\{(\w+):-([^}]*)\}")


@functools.cache
def raw() -> dict[str, Any]:
    """compose.yaml before variables are put in; anchors and merges are resolved."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return found


def services(variables: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """The services as Compose sees them on a machine with these variables."""
    found: dict[str, dict[str, Any]] = _filled(raw()["services"], variables or {})
    return found


def ours(variables: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Those that run headwater."""
    return {name: one for name, one in services(variables).items() if one["image"].startswith("headwater:")}


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1]) or found[2]

    return _VARIABLE.sub(put, value)


def calls(service: Mapping[str, Any]) -> list[list[str]]:
    """The arguments of every `headwater` that a service runs."""
    if "entrypoint" not in service:
        return [service["command"]]
    lines = (shlex.split(line) for text in service["command"] for line in text.splitlines())
    return [words[1:] for words in lines if words]


class Instruction(NamedTuple):
    """One line of the Dockerfile, continuations joined."""

    stage: int
    name: str
    rest: str


@functools.cache
def dockerfile() -> tuple[Instruction, ...]:
    """The Dockerfile's instructions."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[Instruction] = []
    stage = -1
    for line in joined.splitlines():
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, rest))
    return tuple(found)


def image_environment() -> dict[str, str]:
    """What ENV sets in the final image."""
    last = dockerfile()[-1].stage
    words = [
        word
        for one in dockerfile()
        if one.name == "ENV" and one.stage == last
        for word in shlex.split(one.rest)
    ]
    return dict(word.split("=", 1) for word in words)
