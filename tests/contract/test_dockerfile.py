"""The image: small, pinned, not root, and made of what is in the repository."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from headwater import cli, config
from tests.contract.compose import dockerfile, image_environment
from tests.contract.tree import FOLDERS, ROOT

LAST = dockerfile()[-1].stage


def final(name: str) -> list[str]:
    return [one.rest for one in dockerfile() if one.name == name and one.stage == LAST]


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_stage_starts_from_one_pinned_python_that_the_project_supports() -> None:
    images = {one.rest.split()[0] for one in dockerfile() if one.name == "FROM"}
    (image,) = images

    found = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim", image)
    assert found is not None
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {found[1]}" in classifiers


def test_it_installs_what_the_lock_names_with_the_uv_of_the_project() -> None:
    runs = [one.rest for one in dockerfile() if one.name == "RUN"]
    version = re.search(r"uv_version=([\d.]+)", (ROOT / ".ci/setup").read_text())

    assert version is not None
    assert any(f"uv=={version[1]}" in run for run in runs)
    syncs = [run for run in runs if run.startswith("uv sync")]
    assert syncs
    assert all({"--frozen", "--no-dev"} <= set(shlex.split(run)) for run in syncs)
    assert "--no-editable" in syncs[-1], "the engine is installed as its wheel"


def test_the_final_image_has_no_build_tool_and_the_five_folders() -> None:
    tools = re.compile(r"\b(uv|pip|apt|apt-get|gcc|curl|wget)\b")

    assert [run for run in final("RUN") if tools.search(run)] == []
    copied = {rest.split()[0] for rest in final("COPY") if not rest.startswith("--from")}
    assert copied == set(FOLDERS)
    assert final("WORKDIR") == ["/app"]


def test_it_runs_as_a_numbered_user_without_a_shell_in_between() -> None:
    assert final("USER") == ["10001:10001"]
    assert [json.loads(rest) for rest in final("ENTRYPOINT")] == [["headwater"]]
    after = [one.name for one in dockerfile() if one.stage == LAST]
    assert "RUN" not in after[after.index("USER") :]


def test_its_default_command_works(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = final("CMD")

    assert cli.run(json.loads(command)) == 0
    assert "Usage: headwater" in capsys.readouterr().out


def test_its_settings_are_known_and_start_no_server_inside(tmp_path: Path) -> None:
    assert config.load(tmp_path, image_environment()).embedded == "off"


def test_everything_it_copies_is_sent_to_the_builder_and_nothing_else() -> None:
    copies = [one.rest for one in dockerfile() if one.name == "COPY" and not one.rest.startswith("--from")]
    sources = {source for rest in copies for source in rest.split()[:-1]}
    sent = {line[1:] for line in ignored() if line.startswith("!")}

    assert ignored()[0] == "*", "whatever is not named stays here: .env, .git, .venv"
    assert {source.rstrip("*") for source in sources} == sent
    assert [source for source in sources if "*" not in source and not (ROOT / source).exists()] == []
