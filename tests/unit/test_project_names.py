"""What the five folders of a project have to name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import backfill
import consumers
import producers
import schemas
import streams
from headwater.cli.project import FOLDERS, NAMES, unnamed

PAGE = Path(__file__).parents[2] / "docs/own-project.md"


def test_the_folders_of_this_project_name_everything() -> None:
    assert unnamed(dict(zip(FOLDERS, (schemas, streams, producers, consumers, backfill), strict=True))) == []


def test_every_name_that_a_folder_lacks_is_told_at_once() -> None:
    found = {folder: SimpleNamespace(**dict.fromkeys(names)) for folder, names in NAMES.items()}
    del found["schemas"].respell, found["backfill"].http

    assert unnamed(found) == ["schemas.respell", "backfill.http"]


def test_the_page_of_own_projects_explains_every_name() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [name for name in unnamed(dict.fromkeys(FOLDERS)) if f"| `{name}` |" not in text] == []
