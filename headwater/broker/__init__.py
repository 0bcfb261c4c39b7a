"""The floor that speaks Redis; nothing else does."""

from headwater.broker.appender import Appender
from headwater.broker.client import Broker
from headwater.broker.entry import (
    START,
    ClaimedPage,
    ConsumerState,
    Entry,
    EntryId,
    GroupState,
    Portion,
    StreamState,
    latest,
)
from headwater.broker.features import Features
from headwater.broker.look import Seen, look

__all__ = [
    "START",
    "Appender",
    "Broker",
    "ClaimedPage",
    "ConsumerState",
    "Entry",
    "EntryId",
    "Features",
    "GroupState",
    "Portion",
    "Seen",
    "StreamState",
    "latest",
    "look",
]
