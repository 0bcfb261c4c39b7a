"""Nothing grows out of hand: modules, functions and parameter lists keep their size."""

from __future__ import annotations

from tests.contract.tree import functions, modules

LINES, BODY, PARAMETERS = 400, 50, 6

LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
MANY_PARAMETERS: dict[str, str] = {
    "headwater/telemetry/metrics.py:Metrics.group": "one reading of a group, each figure by its name",
}


def body(node: object) -> int:
    return int(getattr(node, "end_lineno", 0)) - int(getattr(node, "lineno", 0)) + 1


def test_no_module_is_longer_than_400_lines() -> None:
    found = {one.path: one.lines for one in modules() if one.lines > LINES}

    assert {name: count for name, count in found.items() if name not in LONG_MODULES} == {}
    assert set(LONG_MODULES) <= set(found), "an exception that nobody needs any more"


def test_no_function_is_longer_than_50_lines() -> None:
    found = {one.where: body(one.node) for one in functions() if body(one.node) > BODY}

    assert {name: count for name, count in found.items() if name not in LONG_FUNCTIONS} == {}
    assert set(LONG_FUNCTIONS) <= set(found), "an exception that nobody needs any more"


def test_no_function_takes_more_than_six_parameters() -> None:
    found = {one.where: len(one.parameters) for one in functions() if len(one.parameters) > PARAMETERS}

    assert {name: count for name, count in found.items() if name not in MANY_PARAMETERS} == {}
    assert set(MANY_PARAMETERS) <= set(found), "an exception that nobody needs any more"


def test_every_exception_from_a_budget_has_its_reason() -> None:
    for exceptions in (LONG_MODULES, LONG_FUNCTIONS, MANY_PARAMETERS):
        assert all(len(reason.split()) >= 3 for reason in exceptions.values())
