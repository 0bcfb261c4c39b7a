"""One word a thing: the words the house does not use are in no name that others see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import click

from headwater import cli, config
from headwater.telemetry import Metrics
from tests.contract.pages import commands, families
from tests.contract.tree import classes, functions, modules, words

BANNED = frozenset(
    [
        *("topic", "queue", "channel", "shard", "message", "offset", "payload", "dto", "publisher"),
        *("emitter", "listener", "callback", "dlq", "poison", "subscription", "processor", "requeue"),
        *("resync", "poller", "unacked", "inflight", "dedup", "downstream", "mismatch", "finalize"),
    ]
)
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}

SEEDS = {"subscription_tier", "SubscriptionTier"}
"""Names of the systems this one serves, kept as they are there."""

FOREIGN = {
    "headwater/admin/server.py:_Connection.handle_error": "a parameter of aiohttp's method that it overrides",
}


def banned(name: str) -> set[str]:
    return set() if name in SEEDS else set(words(name)) & BANNED


def log_events() -> Iterator[tuple[str, str]]:
    """(where, event name) of every log line."""
    for module in modules():
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and ast.unparse(node.func.value).split(".")[-1].strip("_") in {"log", "logger"}
                and node.args
            ):
                for name in names(node.args[0], module.tree):
                    yield f"{module.path}:{node.lineno} {name}", name


def names(given: ast.expr, tree: ast.Module) -> list[str]:
    """The texts that an argument can be: itself, or whatever its variable is set to."""
    if isinstance(given, ast.Constant):
        return [str(given.value)]
    if isinstance(given, ast.IfExp):
        return [*names(given.body, tree), *names(given.orelse, tree)]
    set_to = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(given)
    ]
    return [name for value in set_to for name in names(value, tree)] or [ast.unparse(given)]


def options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (parameter.name or "", *parameter.opts, *parameter.secondary_opts)


def test_banned_words_name_no_module_class_function_or_parameter() -> None:
    found: list[tuple[str, Any]] = [(one.path, banned(one.path)) for one in modules()]
    found += [(where, banned(name)) for where, name in classes()]
    for one in functions():
        if one.public:
            found.append((one.where, banned(one.node.name)))
            found += [(f"{one.where}({name})", banned(name)) for name in one.parameters]

    assert {where: what for where, what in found if what and where not in FOREIGN} == {}


def test_banned_words_name_no_command_and_no_option() -> None:
    found = {
        f"{path} {name}": banned(name)
        for path, command in commands()
        for name in (path.split()[-1], *options(command))
    }

    assert {where: what for where, what in found.items() if what} == {}


def test_banned_words_name_no_setting() -> None:
    found = {one.key: banned(one.key) for one in config.describe()}

    assert {where: what for where, what in found.items() if what} == {}


def test_banned_words_name_no_metric_and_no_label() -> None:
    found = {
        f"{family.name} {name}": banned(name)
        for family in families(Metrics())
        for name in (family.name, *family.labels)
    }

    assert {where: what for where, what in found.items() if what} == {}


def test_banned_words_name_no_log_event_and_every_one_is_thing_dot_happening() -> None:
    found = dict(log_events())

    assert found, "no log line was recognised"
    assert {where: name for where, name in found.items() if banned(name)} == {}
    shape = {
        where: name
        for where, name in found.items()
        if not (name.count(".") == 1 and name.replace(".", "").replace("_", "").isalpha() and name.islower())
    }
    assert shape == {}


def test_banned_words_name_no_command_of_the_table() -> None:
    assert {name: banned(name) for name in cli.TABLE if banned(name)} == {}
