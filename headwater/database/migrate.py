"""Numbered SQL files, applied once each, in order, one runner at a time.

The files are in dbmate's format, so that a team may apply them with dbmate instead. A file that
was changed after it was applied stops the run: history is never rewritten in silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import asyncpg

from headwater.database.pool import Connection, connect
from headwater.errors import DeclarationError, HeadwaterError

ENGINE = Path(__file__).parent / "migrations"
SOURCE = ("headwater-source", ENGINE / "source")
APP = ("headwater-app", ENGINE / "app")
"""(role, folder) of the engine's own tables, for each kind of database."""

_LOCK = (
    0x68656164  # "head": one number for every headwater, so that runners of all versions exclude each other
)


class Migration(NamedTuple):
    """One file."""

    role: str
    number: int
    name: str
    up: str
    checksum: str


class Status(NamedTuple):
    """One file and whether it was applied."""

    role: str
    name: str
    applied: bool


def read(role: str, folder: Path) -> list[Migration]:
    """The files of a folder in order. Raises DeclarationError for a file without an `up` part."""
    found = []
    for file in sorted(folder.glob("*.sql")):
        text = file.read_text(encoding="utf-8")
        _, marker, rest = text.partition("-- migrate:up")
        if not marker:
            raise DeclarationError(
                f"{file.name} has no '-- migrate:up' line", hint="put that line before the first statement"
            )
        up = rest.partition("-- migrate:down")[0]
        checksum = hashlib.sha256(up.encode()).hexdigest()
        found.append(Migration(role, int(file.name.partition("_")[0]), file.stem, up, checksum))
    return found


async def migrate(url: str, folders: Iterable[tuple[str, Path]]) -> list[str]:
    """Apply what is missing; the names applied now. Each file is one transaction.

    Raises DatabaseUnavailable, or HeadwaterError for a file that changed or fails.
    """
    connection = await connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await _prepare(connection)
        return [
            migration.name
            for role, folder in folders
            for migration in read(role, folder)
            if await _apply(connection, migration)
        ]
    finally:
        await connection.close()


async def status(url: str, folders: Iterable[tuple[str, Path]]) -> list[Status]:
    """Every file and whether it was applied; changes nothing."""
    connection = await connect(url)
    try:
        exists = await connection.fetchval("SELECT to_regclass('headwater.migration') IS NOT NULL")
        rows = await connection.fetch("SELECT role, number FROM headwater.migration") if exists else []
        done = {(row["role"], row["number"]) for row in rows}
        files = (file for role, folder in folders for file in read(role, folder))
        return [Status(file.role, file.name, (file.role, file.number) in done) for file in files]
    finally:
        await connection.close()


async def _prepare(connection: Connection) -> None:
    await connection.execute(
        """
        CREATE SCHEMA IF NOT EXISTS headwater;
        CREATE TABLE IF NOT EXISTS headwater.migration (
            role text, number int, name text NOT NULL, checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (role, number))
        """
    )


async def _apply(connection: Connection, migration: Migration) -> bool:
    known = await connection.fetchval(
        "SELECT checksum FROM headwater.migration WHERE role = $1 AND number = $2",
        migration.role,
        migration.number,
    )
    if known == migration.checksum:
        return False
    if known is not None:
        raise HeadwaterError(
            f"migration {migration.name!r} was changed after it was applied",
            hint="restore the file, and put the change into a new one",
        )
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            await connection.execute(migration.up)
            await connection.execute(
                "INSERT INTO headwater.migration (role, number, name, checksum) VALUES ($1, $2, $3, $4)",
                *(migration.role, migration.number, migration.name, migration.checksum),
            )
    except asyncpg.PostgresError as error:
        raise HeadwaterError(f"migration {migration.name!r} failed ({error})") from error
    return True
