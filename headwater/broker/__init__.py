"""The floor that speaks Redis; nothing else does."""

from headwater.broker.client import Broker
from headwater.broker.entry import START, ClaimedPage, ConsumerState, Entry, EntryId, GroupState, StreamState

__all__ = [
    "START",
    "Broker",
    "ClaimedPage",
    "ConsumerState",
    "Entry",
    "EntryId",
    "GroupState",
    "StreamState",
]
