"""What can be named is documented: public names, commands, settings, metrics and errors."""

from __future__ import annotations

import re

import pytest

import headwater
from tests.contract.pages import PAGES, commands, error_types
from tests.contract.tree import ROOT

_REMEDY = "run: python -m tests.contract.pages"


def page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_made_from_the_code_is_current(path: str) -> None:
    assert page(path) == PAGES[path](), _REMEDY


def test_the_example_file_of_settings_is_current() -> None:
    assert page(".env.example") == headwater_env(), "run: headwater config env > .env.example"


def headwater_env() -> str:
    from headwater.config import env_example  # noqa: PLC0415 (only here)

    return env_example()


def test_the_public_names_are_those_that_are_documented() -> None:
    """`docs/api.md` has a heading or a list item for each: ### `Name` or - `Name`: ..."""
    documented = re.findall(r"^(?:#{2,4}|[-*]|\|) +`(?:headwater\.)?(\w+)", page("docs/api.md"), re.MULTILINE)

    assert sorted(set(documented)) == sorted(headwater.__all__)
    assert len(documented) == len(set(documented)), "a name is documented twice"


def test_every_public_name_can_be_imported_and_says_what_it_is() -> None:
    silent = [name for name in headwater.__all__ if not (getattr(headwater, name).__doc__ or "").strip()]

    assert silent == []
    assert headwater.__all__ == sorted(headwater.__all__)


def test_every_error_says_when_it_is_raised() -> None:
    assert [kind.__name__ for kind in error_types() if not (kind.__doc__ or "").strip()] == []


def test_every_command_has_help_and_an_example() -> None:
    lacking = []
    for path, command in commands():
        group = hasattr(command, "commands") and not getattr(command, "invoke_without_command", False)
        if not (command.help or "").strip():
            lacking.append(f"{path}: help")
        example = re.sub(r" --[\w-]+ [\w.@-]+(?= \w)", "", command.epilog or "")  # options before the command
        if not group and path not in example:
            lacking.append(f"{path}: example")
        lacking += [
            f"{path}: help of {one.opts[0]}"
            for one in command.params
            if one.param_type_name == "option" and not getattr(one, "help", None)
        ]

    assert lacking == []
