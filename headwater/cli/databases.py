"""The databases of a project: which migrations each takes, and which are missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from headwater.cli.project import Project
from headwater.config import Settings
from headwater.database.migrate import APP, SOURCE, Status, migrate, status
from headwater.errors import HeadwaterError, ServerUnavailable, SettingsError


class Place(NamedTuple):
    """One database and its folders of migrations."""

    name: str
    """`source`, or the application's."""
    url: str
    """Empty where the settings name none."""
    folders: tuple[tuple[str, Path], ...]


def declared(project: Project) -> list[Place]:
    """Every database that the project has, without addresses."""
    found = [Place("source", "", (SOURCE,))]
    for app in project.applications:
        own = project.migrations.get(app)
        found.append(Place(app, "", (APP, *([(app, own)] if own else []))))
    # Databases that a system beside this one writes: its workers need the engine's tables as ours do.
    beside = [one for one in project.migrations.items() if one[0] not in project.applications]
    return [*found, *(Place(one[0], "", (APP, one)) for one in beside)]


def places(project: Project, settings: Settings) -> list[Place]:
    """Every database that the settings name. Raises SettingsError: none, or two that are one."""
    urls = {name: dsn.reveal() for name, dsn in settings.apps.items()}
    if settings.source_url is not None:
        urls["source"] = settings.source_url.reveal()
    found = [place._replace(url=urls[place.name]) for place in declared(project) if place.name in urls]
    if not found:
        raise SettingsError(
            "no database is named", hint="set HEADWATER_SOURCE_URL and HEADWATER_APP_<NAME>_URL"
        )
    for place in found[1:]:
        if place.url == urls.get("source") and place.name != "source":
            raise SettingsError(
                f"the source and the application {place.name!r} are one database",
                hint=f"give the application its own: HEADWATER_APP_{place.name.upper()}_URL",
            )
    return found


async def migrate_all(where: Iterable[Place]) -> dict[str, list[str]]:
    """Apply what is missing, all databases at once; the names applied now. Raises as `migrate` does."""
    wanted = list(where)
    ended = await asyncio.gather(*map(_migrate, wanted), return_exceptions=True)  # no error cuts another off
    applied: dict[str, list[str]] = {}
    for place, one in zip(wanted, ended, strict=True):
        if isinstance(one, BaseException):
            raise one
        applied[place.name] = one
    return applied


async def _migrate(place: Place) -> list[str]:
    try:
        return await migrate(place.url, place.folders)
    except ServerUnavailable:
        raise
    except HeadwaterError as error:
        raise HeadwaterError(f"database {place.name!r}: {error}", hint=error.hint) from error


async def statuses(where: Iterable[Place]) -> dict[str, list[Status]]:
    """Every migration of every database, and whether it was applied; changes nothing."""
    return {place.name: await status(place.url, place.folders) for place in where}


def missing(found: dict[str, list[Status]]) -> list[str]:
    """Names of migrations that were not applied: `crm 0001_engine`."""
    return [f"{name} {one.name}" for name, some in found.items() for one in some if not one.applied]
