"""The OpenAPI document of the customer sync's six endpoints says what they are and what they answer."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are not in the lock
import msgspec
import pytest

from backfill.customer_sync.dialect import Edits, Sent
from backfill.customer_sync.endpoints import MOST
from backfill.customer_sync.peer import PATHS
from consumers.customer_records.meeting import MOST_EDITS, SIDES
from tests.system.running import ROOT
from tests.system.test_customer_endpoints import Pair, Running, pair, sealed

__all__ = ["pair"]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/customer-sync.openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def said(path: str, method: str, status: int) -> dict[str, Any]:
    """The schema of one answer, with everything it refers to."""
    found = DOCUMENT["paths"][path][method]["responses"][str(status)]
    while "$ref" in found:
        found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
    (content,) = found["content"].values()
    return {**content["schema"], "components": DOCUMENT["components"]}


def operations() -> set[tuple[str, str]]:
    return {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}


def test_the_document_names_the_six_endpoints_that_are_served() -> None:
    wanted = {(PATHS[side], method) for side in SIDES for method in ("get", "post")}

    assert operations() == wanted | {(f"{PATHS[side]}/trigger", "post") for side in SIDES}


def test_the_fields_and_limits_of_a_record_are_those_that_are_read() -> None:
    for name, struct in (("Record", Sent), ("Edits", Edits)):
        assert set(SCHEMAS[name]["properties"]) == {one.encode_name for one in msgspec.structs.fields(struct)}
    assert SCHEMAS["Count"]["maximum"] == MOST_EDITS
    assert SCHEMAS["Record"]["properties"]["sync_version"]["maximum"] == 2 * MOST_EDITS
    assert SCHEMAS["Records"]["oneOf"][1]["maxItems"] == MOST


def test_the_schemas_are_schemas() -> None:
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def answered(one: Running, method: str, path: str, expected: int, **given: Any) -> None:
    status, body = await one.ask(method, path, **given)
    assert status == expected
    where = "/api/v3" + one.path.partition("/api/v3")[2] + path.partition("?")[0]
    jsonschema.validate(body, said(where, method.lower(), expected))


async def test_what_the_endpoints_answer_is_as_the_document_says(pair: Pair) -> None:
    auth, customer = pair
    for one in pair:
        await answered(one, "POST", "", 200, json=[sealed("c1"), sealed("c2", email="in@the.clear")])
        await answered(one, "POST", "", 422, json=sealed("c1", edits=None))
        await answered(one, "POST", "", 400, data=b"{", headers={"Content-Type": "application/json"})
        await answered(one, "POST", "", 413, json=[7] * (MOST + 1))
        await answered(one, "POST", "", 415, data={"id": "c1"})
        await answered(one, "GET", "", 200)
        await answered(one, "GET", "?limit=0", 400)
        await answered(one, "GET", "", 401, key="")
        await answered(one, "POST", "/trigger", 401, key="")
    await answered(auth, "POST", "/trigger", 200)
    await answered(customer, "POST", "/trigger", 409)


@pytest.mark.parametrize("wrong", [{}, {"id": "c1"}, sealed("", name=7), sealed("c1", edits={"auth": -1})])
def test_a_record_that_is_refused_is_none_by_the_document_either(wrong: dict[str, Any]) -> None:
    schema = {**SCHEMAS["Record"], "components": DOCUMENT["components"]}
    jsonschema.validate(sealed("c1"), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)
