"""Every command's help ends with examples, and every example can be said."""

from __future__ import annotations

import importlib
import shlex
import uuid
from collections.abc import Iterator

import click
import pytest

from headwater import cli
from headwater.cli.invocation import Invocation


def commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, obj=Invocation())
        for name in command.list_commands(context):
            if inner := command.get_command(context, name):
                yield from commands(f"{path} {name}", inner)


def every_command() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, entry in cli.TABLE.items():
        module, _, attribute = entry.target.partition(":")
        found += commands(f"headwater {name}", getattr(importlib.import_module(module), attribute))
    return found


def examples(command: click.Command) -> list[str]:
    head, _, text = (command.epilog or "").partition(":")
    assert head in {"Example", "Examples"}, f"{command.name} has no examples"
    return [part.strip() for part in text.split("·")]


def parse(words: list[str]) -> click.Command:
    """The command that the words call, all its parameters read; runs nothing."""
    command: click.Command = cli.application
    context: click.Context | None = None
    while True:
        context = command.make_context(command.name or "", words, parent=context, obj=Invocation())
        if not isinstance(command, click.Group):
            return command
        words = [*context._protected_args, *context.args]
        if not words:
            return command
        inner = command.get_command(context, words[0])
        assert inner is not None, words
        command, words = inner, words[1:]


@pytest.mark.parametrize(
    ("path", "command"), every_command(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_examples_of_the_help_are_accepted(path: str, command: click.Command) -> None:
    called = []
    for example in examples(command):
        said = example.removeprefix('eval "$(').removesuffix(')"').partition(" > ")[0]
        words = [str(uuid.UUID(int=1)) if word == "JOB" else word for word in shlex.split(said)]
        assert words[0] == "headwater", example
        without_files = [word for word in words[1:] if not word.endswith(".env")]
        called.append(parse([word for word in without_files if word != "--env-file"]))

    family = {inner for _, inner in commands("", command)}
    assert set(called) <= family, f"an example of {path} calls something else"
