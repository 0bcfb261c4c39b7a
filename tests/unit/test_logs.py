"""Log lines: one JSON object each, with fixed names, and without anything secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from headwater.config import Dsn, LogSettings
from headwater.telemetry import (
    Metrics,
    configure,
    correlated,
    correlation,
    logger,
    new_correlation,
    safe_text,
)
from headwater.telemetry.context import acceptable


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("headwater")
    before = root.handlers[:], root.level, ours.level
    out = io.StringIO()
    configure(LogSettings(format="json", level="debug"), out)
    yield out
    logging.captureWarnings(False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_name_of_its_event(out: io.StringIO) -> None:
    logger("headwater.delivery").warning("delivery.parked", group="crm", deliveries=8)

    (line,) = lines(out)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "delivery.parked",
        "logger": "headwater.delivery",
        "group": "crm",
        "deliveries": 8,
    }


def test_lines_of_other_libraries_take_the_same_way(out: io.StringIO) -> None:
    logging.getLogger("asyncio").warning("took %s s", 3)

    assert lines(out)[0]["event"] == "took 3 s"
    assert lines(out)[0]["logger"] == "asyncio"


def test_a_warning_of_another_library_is_one_line_and_its_errors_keep_their_trace(out: io.StringIO) -> None:
    try:
        raise ConnectionRefusedError("nobody there")
    except ConnectionRefusedError:
        logging.getLogger("asyncpg.pool").warning("retrying", exc_info=True)
        logging.getLogger("asyncpg.pool").exception("gave up")

    warned, failed = lines(out)
    assert warned["error"] == "ConnectionRefusedError: nobody there"
    assert "exception" not in warned
    assert "test_logs.py" in failed["exception"]


def test_every_line_inside_carries_the_correlation_id(out: io.StringIO) -> None:
    with correlated("sync-1234"):
        logger("headwater.x").info("a.b")
    logger("headwater.x").info("c.d")

    assert [line.get("correlation_id") for line in lines(out)] == ["sync-1234", None]
    assert correlation() == ""


def test_only_harmless_ids_are_taken_over_from_outside() -> None:
    assert acceptable(new_correlation())
    assert not any(acceptable(given) for given in ("short", "with space", "line\nbreak", "x" * 65, ""))


def test_no_line_shows_a_password(out: io.StringIO) -> None:
    url = "redis://u:canary@h"
    log = logger("headwater.x")
    log.info("a.b", url=url, dsn=Dsn(url), error=ValueError(url), inner={"list": [url]}, odd=object)
    logging.getLogger("other").error("lost %s", url)
    try:
        raise RuntimeError(url)
    except RuntimeError:
        log.exception("c.d")

    assert "canary" not in out.getvalue()
    assert out.getvalue().count("redis://u:***@h") >= 6


def test_no_line_shows_the_row_of_a_database_error(out: io.StringIO) -> None:
    error = asyncpg.UniqueViolationError('duplicate key value violates unique constraint "users_phone"')
    error.detail = "Key (phone)=(canary) already exists."
    try:
        raise error
    except asyncpg.PostgresError as raised:
        try:
            raise RuntimeError("the batch failed") from raised
        except RuntimeError:
            logger("headwater.x").exception("a.b", reason=raised)

    assert "canary" not in out.getvalue()
    assert "users_phone" in lines(out)[0]["exception"]
    assert lines(out)[0]["error"] == "RuntimeError: the batch failed"


def test_the_text_of_a_data_error_is_told_without_its_value() -> None:
    for code, text in [
        (asyncpg.InvalidTextRepresentationError, 'invalid input syntax for type uuid: "canary"'),
        (asyncpg.NumericValueOutOfRangeError, 'value "canary" is out of range for type integer'),
    ]:
        assert "canary" not in safe_text(code(text))
    client = asyncpg.DataError("invalid input for query argument $2: 'canary' (expected str, got int)")

    assert safe_text(client) == "invalid input for query argument $2"


def test_a_value_can_not_forge_a_second_line(out: io.StringIO) -> None:
    logger("headwater.x").info("a.b", given='x"}\n{"event":"forged"')
    configure(LogSettings(format="console"), out)
    logger("headwater.x").info("a.b", given="x\n2026 forged")

    assert len(out.getvalue().splitlines()) == 2


def test_a_value_that_json_can_not_say_does_not_lose_the_line(out: io.StringIO) -> None:
    logger("headwater.x").info("a.b", text="\ud800", number=10**30)

    assert lines(out)[0]["event"] == "a.b"


def test_lines_below_the_level_are_not_written(out: io.StringIO) -> None:
    configure(LogSettings(format="json", level="warning"), out)
    logger("headwater.x").info("a.b")

    assert out.getvalue() == ""


def test_a_host_that_formats_lines_itself_sees_the_event_and_its_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "headwater"):
        logger("headwater.x").info("delivery.parked", group="crm", name="n", url="redis://u:pw@h")

    assert caplog.messages == ["delivery.parked group=crm name=n url=redis://u:***@h"]


def test_metrics_are_told_in_the_names_of_the_documentation() -> None:
    metrics = Metrics("1.2")
    metrics.published("credit-events", "credit.allocated", 3)
    metrics.settled("credit-events", "crm-consumers", "applied", 2)
    metrics.handled("crm-consumers", 0.004)
    metrics.outbox(backlog=4, oldest=1.5)
    metrics.group("credit-events", "crm-consumers", lag=None, lag_seconds=0.0, pending=1)

    text = metrics.exposition().decode()

    for line in [
        'headwater_published_total{stream="credit-events",type="credit.allocated"} 3.0',
        'headwater_settled_total{group="crm-consumers",outcome="applied",stream="credit-events",type=""} 2.0',
        'headwater_handle_seconds_count{group="crm-consumers"} 1.0',
        "headwater_outbox_backlog 4.0",
        "headwater_outbox_oldest_seconds 1.5",
        'headwater_group_lag_seconds{group="crm-consumers",stream="credit-events"} 0.0',
        'headwater_build_info{version="1.2"} 1.0',
    ]:
        assert line in text
    assert "headwater_group_lag_entries{" not in text


def test_an_unknown_figure_is_forgotten_rather_than_zero() -> None:
    metrics = Metrics()
    metrics.dead_letters("crm", 3)
    metrics.dead_letters("crm", None)

    assert 'headwater_dead_letters{group="crm"}' not in metrics.exposition().decode()


def test_two_metrics_in_one_process_do_not_meet() -> None:
    first, second = Metrics(), Metrics()
    first.relayed(5)

    assert b"headwater_relay_appended_total 0.0" in second.exposition()
