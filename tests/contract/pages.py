"""Reference pages that are made from the code: `python -m tests.contract.pages` writes them anew.

A test compares what is committed with what would be written, so that a page never lags behind.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from headwater import cli, config, errors
from headwater.cli.failure import exit_code
from headwater.cli.invocation import Invocation
from headwater.telemetry import Metrics
from tests.contract.tree import ROOT

_NOTE = "<!-- Made from the code by `python -m tests.contract.pages`: do not edit. -->\n"
_SAMPLES = {"str": "x", "int": 1, "float": 1.0, "bool": True}


class Family(NamedTuple):
    """One metric as Prometheus sees it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    doc: str


def families(metrics: Metrics) -> list[Family]:
    """Every metric there can be: each method is called once, so that each series exists."""
    for name, method in inspect.getmembers(metrics, inspect.ismethod):
        if not name.startswith("_"):
            given = inspect.signature(method).parameters.values()
            method(**{one.name: _SAMPLES[str(one.annotation).split(" |")[0]] for one in given})
    found = []
    for family in metrics.registry.collect():
        labels = {label: None for sample in family.samples for label in sample.labels if label != "le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        name = f"{name}_info" if family.type == "info" else name
        found.append(Family(name, family.type, tuple(labels), family.documentation))
    return found


def commands() -> Iterator[tuple[str, click.Command]]:
    """(path, command) of everything that can be called: `headwater streams apply`."""
    for name, entry in cli.TABLE.items():
        module, _, attribute = entry.target.partition(":")
        yield from _commands(f"headwater {name}", getattr(importlib.import_module(module), attribute))


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, obj=Invocation())
        for name in command.list_commands(context):
            if inner := command.get_command(context, name):
                yield from _commands(f"{path} {name}", inner)


def settings_page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings\n",
        _NOTE,
        "Order of strength: `headwater.toml` < `.env` < environment < options of the command.",
        "An empty variable is not set; an unknown one is an error. `NAME_FILE=/path` reads a mounted secret.",
        "Durations are written `500ms`, `30s`, `5m`, `2h`, `7d`, or as a number of seconds.",
        "`headwater config show --sources` tells what is in force, and why.",
    ]
    section = None
    for one in config.describe():
        if one.section != section:
            section = one.section
            title = f"`[{section}]` in `headwater.toml`" if section else "At the top of `headwater.toml`"
            lines += [
                "",
                f"## {title}",
                "",
                *([config.section_doc(section), ""] if section else []),
                "| variable | default | accepts | meaning |",
                "| --- | --- | --- | --- |",
            ]
        names = "<br>".join(f"`{name}`" for name in (one.name, *sorted(one.aliases)))
        default = f"`{one.default}`" if one.default else "none"
        lines.append(f"| {names} | {default} | {_cell(one.type)} | {_cell(one.doc)} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics\n",
        _NOTE,
        "Served at `/metrics` by `headwater admin`, and by `relay` and `worker` with `--health-port`.",
        "Units are seconds and plain counts; no label is a tenant. What is unknown is absent, never 0.\n",
        "| metric | kind | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for one in families(Metrics()):
        labels = ", ".join(f"`{label}`" for label in one.labels) or "none"
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {_cell(one.doc)} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """docs/commands.md."""
    lines = ["# Commands\n", _NOTE, "| code | meaning |", "| --- | --- |"]
    codes = {
        0: "done",
        1: "failed, or a difference was found",
        2: "wrong usage or settings",
        3: "a server is not reachable: worth a retry",
        130: "interrupted",
    }
    lines += [f"| {code} | {meaning} |" for code, meaning in codes.items()]
    lines += _section("headwater", cli.application)
    for path, command in commands():
        lines += _section(path, command)
    return "\n".join(lines) + "\n"


def _section(path: str, command: click.Command) -> list[str]:
    context = click.Context(
        command,
        info_name=path,
        max_content_width=100,
        terminal_width=100,
        obj=Invocation(),
        help_option_names=["-h", "--help"],
    )
    return ["", f"## `{path}`", "", "```text", command.get_help(context), "```"]


def errors_page() -> str:
    """docs/errors.md."""
    lines = [
        "# Errors\n",
        _NOTE,
        "Every error that headwater raises on purpose. Each has a text, and most have a `hint`: what to do.",
        "A command that one ends prints three lines (what, likely why, what to do) and gives its code.\n",
        "| error | is a | code | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for kind in error_types():
        meaning = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
        code = exit_code(kind.__new__(kind))
        lines.append(f"| `{kind.__name__}` | `{kind.__bases__[0].__name__}` | {code} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def error_types() -> list[type[BaseException]]:
    """Every public error, in declared order."""
    return [
        kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, BaseException) and not name.startswith("_")
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


PAGES: dict[str, Callable[[], Any]] = {
    "docs/settings.md": settings_page,
    "docs/metrics.md": metrics_page,
    "docs/commands.md": commands_page,
    "docs/errors.md": errors_page,
}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page(), encoding="utf-8")
