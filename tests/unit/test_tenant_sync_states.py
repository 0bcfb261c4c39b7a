"""What a login does, of how the tenant's sync stands: the rule alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backfill.tenant_sync.states import Standing, next_step

phases = st.sampled_from(["independent", "dependent", "completed"])
standings = st.builds(
    Standing,
    phase=phases,
    busy=st.booleans(),
    known=st.booleans(),
    unfinished=st.booleans(),
    due=st.booleans(),
)


def test_a_tenant_that_nobody_synced_is_synced() -> None:
    assert next_step(None, force=False) == next_step(None, force=True) == "run"


@given(standings, st.booleans())
def test_a_login_goes_on_only_with_essential_data(seen: Standing, force: bool) -> None:
    step = next_step(seen, force=force)

    if step in {"ready", "finish"}:
        assert seen.known
        assert seen.phase != "independent"
        assert not force


@given(standings, st.booleans())
def test_nobody_begins_a_run_beside_another(seen: Standing, force: bool) -> None:
    step = next_step(seen, force=force)

    assert (step in {"run", "finish"}) <= (not seen.busy)
    assert (step == "join") <= seen.busy


@given(standings)
def test_what_is_left_is_taken_up_when_it_is_due_and_never_sooner(seen: Standing) -> None:
    step = next_step(seen, force=False)

    if seen.essential and not seen.busy:
        assert step == ("finish" if seen.unfinished and seen.due else "ready")


@given(standings)
def test_a_tenant_whose_row_is_gone_is_synced_again_whatever_the_status_says(seen: Standing) -> None:
    if not seen.known and not seen.busy:
        assert next_step(seen, force=False) == "run"
