"""Errors of a tenant sync on their way through Temporal and back, and attempts at its activities."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from backfill.tenant_sync.errors import CLASSES, NotInTime, Superseded, SyncError, TemporalAway
from backfill.tenant_sync.retrying import Patience
from backfill.tenant_sync.temporal.client import PASSING, told
from backfill.tenant_sync.temporal.errors import brought_back, carried
from backfill.tenant_sync.temporal.shapes import FENCED, FINAL


def nothing(_: float) -> float:
    return 0.0


@given(kind=st.sampled_from(CLASSES), text=st.text(min_size=1), tried=st.booleans())
def test_an_error_comes_back_in_its_class_with_its_text(
    kind: type[SyncError], text: str, tried: bool
) -> None:
    sent = carried(kind(text, tried=tried), nothing)
    found = brought_back(WorkflowUpdateFailedError(sent))

    assert (type(found), str(found), found.tried) == (kind, text, True)
    assert sent.non_retryable == (tried or not kind.retryable)
    assert kind.retryable != (kind.type in FINAL)


@given(
    kind=st.sampled_from([one for one in CLASSES if one.retryable]),
    after=st.floats(0, 1e6),
    attempt=st.integers(1, 100),
)
def test_the_next_attempt_waits_as_long_as_a_direct_one(
    kind: type[SyncError], after: float, attempt: int
) -> None:
    patience = Patience(jitter=0.0)
    sent = carried(kind("later", after=after), lambda asked: patience.wait(attempt, asked))

    assert sent.next_retry_delay == timedelta(seconds=patience.wait(attempt, after))
    assert timedelta(seconds=2) <= sent.next_retry_delay <= timedelta(seconds=patience.obeyed)


def test_a_superseded_run_ends_quietly_and_for_good() -> None:
    sent = carried(Superseded("another"), nothing)

    assert (sent.type, sent.non_retryable, sent.category) == (FENCED, True, ApplicationErrorCategory.BENIGN)


def test_an_update_that_a_failed_workflow_left_is_worth_the_direct_way() -> None:
    left = ApplicationError("gone", type="AcceptedUpdateCompletedWorkflow")
    found = brought_back(WorkflowUpdateFailedError(left))

    assert (found.type, found.retryable) == ("UNKNOWN_ERROR", True)


@pytest.mark.parametrize("status", list(RPCStatusCode))
def test_whatever_the_server_refuses_is_an_error_after_which_the_direct_way_is_taken(
    status: RPCStatusCode,
) -> None:
    with pytest.raises(SyncError) as failed, told(5.0):
        raise RPCError("no", status, b"")

    assert type(failed.value) in {TemporalAway, NotInTime}
    assert failed.value.retryable


def test_a_workflow_whose_steps_fail_is_not_asked_again() -> None:
    """The server refuses its updates from the third failure of a step on."""
    assert RPCStatusCode.FAILED_PRECONDITION not in PASSING
