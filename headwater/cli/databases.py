"""The databases of a project: which migrations each takes, and which are missing."""

from __future__ import annotations

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
    folders: tuple[tuple[str, Path], ...]


def places(project: Project, settings: Settings) -> list[Place]:
    """Every database that the settings name. Raises SettingsError when they name none."""
    found = []
    if settings.source_url is not None:
        found.append(Place("source", settings.source_url.reveal(), (SOURCE,)))
    for app in project.applications:
        if app in settings.apps:
            own = project.migrations.get(app)
            folders = (APP, *([(app, own)] if own else []))
            found.append(Place(app, settings.apps[app].reveal(), folders))
    if not found:
        raise SettingsError(
            "no database is named", hint="set HEADWATER_SOURCE_URL and HEADWATER_APP_<NAME>_URL"
        )
    return found


async def migrate_all(where: Iterable[Place]) -> dict[str, list[str]]:
    """Apply what is missing, database after database; the names applied now. Raises as `migrate` does."""
    done = {}
    for place in where:
        try:
            done[place.name] = await migrate(place.url, place.folders)
        except ServerUnavailable:
            raise
        except HeadwaterError as error:
            raise HeadwaterError(f"database {place.name!r}: {error}", hint=error.hint) from error
    return done


async def statuses(where: Iterable[Place]) -> dict[str, list[Status]]:
    """Every migration of every database, and whether it was applied; changes nothing."""
    return {place.name: await status(place.url, place.folders) for place in where}


def missing(found: dict[str, list[Status]]) -> list[str]:
    """Names of migrations that were not applied: `crm 0001_engine`."""
    return [f"{name} {one.name}" for name, some in found.items() for one in some if not one.applied]
