"""Habits that no linter checks: where settings are read, what is printed, how a SQL file opens."""

from __future__ import annotations

import ast
import itertools
import re

from tests.contract.tree import ROOT, files, modules

READS_ENVIRON = ("headwater/config/", "headwater/embedded/", "headwater/testing/")
PRINTS = ("headwater/cli/",)

MARKS = re.compile("TO" + "DO|FIX" + "ME|X" + "XX")
"""Spelt in halves, so that this file is not among those it finds."""


def test_environment_variables_are_read_in_one_place_only() -> None:
    found = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        if not module.path.startswith(READS_ENVIRON)
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (isinstance(node, ast.alias) and node.name in {"environ", "getenv"})
    ]

    assert found == []


def test_the_library_prints_nothing() -> None:
    found = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        if not module.path.startswith(PRINTS)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name) and node.id in {"print", "pprint"}
    ]

    assert found == []


def test_no_error_is_swallowed() -> None:
    """A handler for everything does something with what it caught."""
    found = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                idle = all(isinstance(one, ast.Pass | ast.Continue) for one in node.body)
                if idle and caught in {"", "Exception", "BaseException"}:
                    found.append(f"{module.path}:{node.lineno}")
            elif (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith("suppress")
                and {ast.unparse(one) for one in node.args} & {"Exception", "BaseException"}
            ):
                found.append(f"{module.path}:{node.lineno}")

    assert found == []


def test_nothing_is_left_for_later() -> None:
    kept = [*files(".py"), *files(".sql"), *sorted((ROOT / "tests").rglob("*.py"))]
    found = [
        f"{file.relative_to(ROOT).as_posix()}:{number}"
        for file in kept
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if MARKS.search(line)
    ]

    assert found == []


def test_every_sql_file_says_what_it_does_and_what_goes_in_and_comes_out() -> None:
    found = {}
    for file in files(".sql"):
        name = file.relative_to(ROOT).as_posix()
        lines = file.read_text(encoding="utf-8").splitlines()
        head = list(itertools.takewhile(lambda line: line.startswith("--"), lines))
        said = [line for line in head if "migrate:" not in line]
        contract = "/migrations/" in name or any(" -> " in line for line in said[1:])
        if not said or not contract:
            found[name] = head

    assert found == {}
