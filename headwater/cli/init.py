"""`headwater init`: a small project that works, to start one of one's own from."""

from __future__ import annotations

import re
from pathlib import Path

import click

from headwater.cli.invocation import Invocation

SKELETON = Path(__file__).with_name("skeleton")
NAME = "my-project"
"""Stands in the skeleton for the name of what is made."""
_NEXT = """\
a project in {folder}: orders of a shop, copied to one application
  cd {folder}
  python -m pytest          (pip install pytest pytest-asyncio)
  headwater dev
README.md goes on from there."""


@click.command(epilog="Examples:  headwater init shop  ·  headwater init .")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def command(invocation: Invocation, folder: Path) -> None:
    """Write a small project that works into DIR, which is new or empty.

    It has one event, one application, one backfill and a test of them; `headwater dev` runs it at once.
    """
    if folder.exists() and any(folder.iterdir()):
        raise click.BadParameter(f"{folder} is not empty: name one that is new.", param_hint="DIR")
    written = [_write(file, folder) for file in sorted(SKELETON.rglob("*")) if _is_part(file)]
    data = {"folder": str(folder.resolve()), "files": written}
    invocation.out.result("init", data, text=_NEXT.format(folder=folder))


def _is_part(file: Path) -> bool:
    # Caches of linters and of Python lie beside the files.
    place = file.relative_to(SKELETON)
    return file.is_file() and not any(part.startswith((".", "__pycache__")) for part in place.parts)


def _write(file: Path, folder: Path) -> str:
    """A file of the skeleton at its place; `dot.env` there is `.env` here."""
    place = file.relative_to(SKELETON)
    target = folder / place.with_name(re.sub(r"^dot(?=\.)", "", place.name))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(file.read_text(encoding="utf-8").replace(NAME, named(folder)), encoding="utf-8")
    return str(target.relative_to(folder))


def named(folder: Path) -> str:
    """A name for the project: the folder's, as packages may be called."""
    return re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or NAME
