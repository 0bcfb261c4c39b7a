"""What may go, and when: streams are trimmed, tables emptied of what nobody can need any more."""

from headwater.retention.collecting import Collector
from headwater.retention.ground import Ground, Trims, kept, trim
from headwater.retention.holding import Keep
from headwater.retention.keeper import Keeper
from headwater.retention.readers import Leases
from headwater.retention.sweeping import Swept
from headwater.retention.trimming import Trimmed
from headwater.retention.turn import Busy, alone

__all__ = [
    "Busy",
    "Collector",
    "Ground",
    "Keep",
    "Keeper",
    "Leases",
    "Swept",
    "Trimmed",
    "Trims",
    "alone",
    "kept",
    "trim",
]
