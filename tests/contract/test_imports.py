"""Imports point down: the contracts of pyproject.toml are kept, and there is no cycle."""

from __future__ import annotations

import graphlib
import subprocess
import sys
from pathlib import Path

import grimp

from tests.contract.tree import PACKAGES, ROOT


def test_the_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_no_import_cycle() -> None:
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    order = graphlib.TopologicalSorter(
        {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    )

    try:
        order.prepare()
    except graphlib.CycleError as error:
        cycle = " -> ".join(error.args[1])
    else:
        cycle = ""

    assert cycle == ""
