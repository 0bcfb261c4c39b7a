"""The project's own source, parsed once: what the contract tests look at."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "streams", "producers", "consumers", "backfill")
PACKAGES = ("headwater", *FOLDERS)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """One file of source."""

    path: str
    """From the root: `headwater/clock.py`."""
    lines: int
    tree: ast.Module

    @property
    def public(self) -> bool:
        """Whether no part of its path is private."""
        return not any(part.startswith("_") for part in self.path.split("/") if part[:2] != "__")


class Defined(NamedTuple):
    """A function or method."""

    where: str
    """`headwater/clock.py:now`, `headwater/broker/client.py:Broker.append`."""
    node: Function
    public: bool
    method: bool

    @property
    def parameters(self) -> list[str]:
        """Names of what a caller may give, without `self`, `cls`, `*args` and `**options`."""
        given = self.node.args
        names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        static = any(ast.unparse(one) == "staticmethod" for one in self.node.decorator_list)
        return names[1:] if self.method and not static else names


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every Python file of the engine and the five folders."""
    found = []
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            text = file.read_text(encoding="utf-8")
            name = file.relative_to(ROOT).as_posix()
            found.append(Module(name, len(text.splitlines()), ast.parse(text, name)))
    return tuple(found)


def files(suffix: str) -> list[Path]:
    """Every file of the engine and the five folders with this suffix."""
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob(f"*{suffix}"))]


def functions() -> Iterator[Defined]:
    """Every function and method, nested ones too."""
    for module in modules():
        yield from _functions(module.tree, f"{module.path}:", public=module.public, method=False)


def _functions(node: ast.AST, prefix: str, *, public: bool, method: bool) -> Iterator[Defined]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            seen = public and not child.name.startswith("_")
            yield Defined(prefix + child.name, child, seen, method)
            yield from _functions(child, f"{prefix}{child.name}.", public=False, method=False)
        elif isinstance(child, ast.ClassDef):
            seen = public and not child.name.startswith("_")
            yield from _functions(child, f"{prefix}{child.name}.", public=seen, method=True)
        else:
            yield from _functions(child, prefix, public=public, method=method)


def classes() -> Iterator[tuple[str, str]]:
    """(where, name) of every public class."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and module.public and not node.name.startswith("_"):
                yield f"{module.path}:{node.name}", node.name


def words(name: str) -> list[str]:
    """The words of a name in any spelling, lower case and singular: `deadLetters` -> dead, letter."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return [one.lower().removesuffix("s") if len(one) > 3 else one.lower() for one in parts]
