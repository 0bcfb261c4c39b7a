"""What may go, and when: streams are trimmed, tables emptied of what nobody can need any more."""

from headwater.retention.ground import Ground, Trims, kept, trim
from headwater.retention.holding import Keep
from headwater.retention.readers import Leases
from headwater.retention.trimming import Trimmed
from headwater.retention.turn import Busy, alone

__all__ = ["Busy", "Ground", "Keep", "Leases", "Trimmed", "Trims", "alone", "kept", "trim"]
