"""The settings of comparisons that come by themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from headwater.config.fields import Section, about


class ReconcileSettings(Section, frozen=True, kw_only=True):
    """When source and applications are compared by themselves, in the process that runs backfills."""

    every: Annotated[
        float,
        about(
            "Between two comparisons of a tenant's application, a tenth more or less; 0: only after losses.",
            least=0,
            most=2_592_000,
            duration=True,
        ),
    ] = 3600.0
    look: Annotated[
        float, about("Between looks whether something was lost.", least=0.1, most=3600, duration=True)
    ] = 5.0
    losses: Annotated[
        Literal["ignore", "compare", "repair"],
        about("After a loss: compare, compare and mend what differs, or neither."),
    ] = "repair"
    most: Annotated[
        int, about("Most keys of a subject mended by themselves at once.", least=1, most=10_000_000)
    ] = 10_000
