"""The project in a directory: its five folders, imported by name and checked.

The one reach upwards of the engine. Everything found here is handed down by constructor from now on.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.database.attach import Attached
from headwater.delivery import Consumer
from headwater.errors import DeclarationError, SettingsError
from headwater.event import Codec, Registry
from headwater.publish import Producer
from headwater.publish.outgoing import Respell
from headwater.replay import Backfill, History, Mirrored
from headwater.topology import Catalogue

if TYPE_CHECKING:
    from aiohttp import web

    from headwater.cli.checks import Finding
    from headwater.cli.lazy import Entry
    from headwater.config import Settings

NAMES: Mapping[str, tuple[str, ...]] = {
    "schemas": ("registry", "read_foreign", "respell"),
    "streams": ("catalogue",),
    "producers": ("attached", "enablement", "wrapper_schema"),
    "consumers": ("applications", "migrations"),
    "backfill": ("Story", "backfills", "http"),
}
"""What each folder has to name: see `docs/own-project.md`."""
FOLDERS = tuple(NAMES)


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What the five folders declare."""

    root: Path
    registry: Registry
    codec: Codec
    catalogue: Catalogue
    respell: Respell | None
    enablement: str
    attached: tuple[Attached, ...]
    wrapper_schema: str
    applications: Mapping[str, Consumer]
    migrations: Mapping[str, Path]
    backfills: tuple[Backfill, ...]
    http: Callable[[History, Producer], web.Application]
    story: Any
    commands: Mapping[str, Entry]
    """By their whole path: `sync users`. Where the project names none, none."""
    checks: Callable[[Settings], AsyncIterator[Finding]] | None
    """What doctor asks beside its own checks."""
    mounts: Callable[[Any], Awaitable[Mapping[str, Any]]] | None
    """From a wiring, what the admin interface serves beside `http`: applications by prefix."""
    temporal: Callable[[Any], AbstractAsyncContextManager[Any]] | None
    """From a wiring, what `headwater worker --temporal` runs: something with `run` and `stop`."""

    @property
    def mirrored(self) -> dict[str, dict[str, Mirrored]]:
        """Where each application keeps each subject, for comparing."""
        return {
            app: {
                subject: Mirrored(
                    app=app,
                    subject=subject,
                    table=one.table,
                    key=one.key,
                    live=one.live,
                    retire=one.retire,
                    columns=one.columns,
                )
                for subject, one in consumer.mirrors.items()
            }
            for app, consumer in self.applications.items()
        }

    def application(self, name: str) -> Consumer:
        """An application's consumer, by name or alias. Raises DeclarationError naming those there are."""
        app = self.catalogue.group(name).app
        if app not in self.applications:
            raise DeclarationError(
                f"no consumer is declared for {name!r}",
                hint=f"declared: {', '.join(sorted(self.applications))}",
            )
        return self.applications[app]


def find(directory: Path, *, prefix: str = "", aside: Sequence[str] = ()) -> Project:
    """Import and check the project in `directory`; `aside`: applications with side streams.

    Raises DeclarationError naming what is missing, SettingsError for an unknown application in `aside`.
    """
    missing = [name for name in FOLDERS if not (directory / name / "__init__.py").is_file()]
    if missing:
        raise DeclarationError(
            f"no project here ({directory}): {', '.join(missing)} missing",
            hint="go to the folder that has them, or name it: --project DIR",
        )
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    modules = {name: _load(directory, name) for name in FOLDERS}
    if lacking := unnamed(modules):
        raise DeclarationError(
            f"the project here ({directory}) does not name {', '.join(lacking)}",
            hint="each folder's __init__.py names what it declares: docs/own-project.md",
        )
    schemas, streams, producers, consumers, backfill = (modules[name] for name in FOLDERS)
    project = Project(
        root=directory,
        registry=schemas.registry,
        codec=Codec(schemas.registry, schemas.read_foreign),
        catalogue=_arranged(streams.catalogue, prefix, aside),
        respell=schemas.respell,
        enablement=producers.enablement,
        attached=tuple(producers.attached),
        wrapper_schema=producers.wrapper_schema,
        applications={one.app: one for one in consumers.applications},
        migrations=dict(consumers.migrations),
        backfills=tuple(backfill.backfills),
        http=backfill.http,
        story=backfill.Story,
        commands=dict(getattr(backfill, "commands", {})),
        checks=getattr(backfill, "checks", None),
        mounts=getattr(backfill, "mounts", None),
        temporal=getattr(backfill, "temporal", None),
    )
    check(project)
    return project


def _arranged(catalogue: Catalogue, prefix: str, aside: Sequence[str]) -> Catalogue:
    try:
        return catalogue.with_prefix(prefix).with_side_streams(aside) if prefix or aside else catalogue
    except DeclarationError as error:
        raise SettingsError(f"HEADWATER_BACKFILL_SIDE_STREAMS: {error}", hint=error.hint) from None


def unnamed(modules: Mapping[str, object]) -> list[str]:
    """What the folders have to name and do not, as `folder.name`."""
    return [
        f"{folder}.{name}"
        for folder, names in NAMES.items()
        for name in names
        if not hasattr(modules[folder], name)
    ]


def _load(directory: Path, name: str) -> ModuleType:
    module = importlib.import_module(name)
    found = Path(module.__file__ or "").resolve()
    if directory.resolve() not in found.parents:
        raise DeclarationError(
            f"{name!r} was found elsewhere ({found.parent})",
            hint="another package of that name comes first on the path",
        )
    return module


def check(project: Project) -> None:
    """Every event has a stream, every group a consumer of the same names, and the reverse.

    Raises DeclarationError.
    """
    for event in project.registry:
        project.catalogue.stream(event.type)
    for app, group in project.catalogue.groups.items():
        if app not in project.applications:
            raise DeclarationError(f"the group of {app!r} has no consumer")
        if project.applications[app].names != {app, *group.aliases}:
            raise DeclarationError(
                f"group and consumer of {app!r} have different aliases", hint="declare the same ones in both"
            )
    unread = [app for app in project.applications if app not in project.catalogue.groups]
    if unread:
        raise DeclarationError(f"consumers without a group: {', '.join(unread)}")
