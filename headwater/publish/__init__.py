"""How events are said: through the outbox, by the relay, or directly."""

from headwater.publish.direct import DirectProducer, Published
from headwater.publish.outgoing import Enablement, Outgoing
from headwater.publish.producer import Producer
from headwater.publish.receipt import Receipt
from headwater.publish.relay import Relay
from headwater.publish.repairing import Repairer
from headwater.publish.republish import Republisher
from headwater.publish.said import REALM, About, Said

__all__ = [
    "REALM",
    "About",
    "DirectProducer",
    "Enablement",
    "Outgoing",
    "Producer",
    "Published",
    "Receipt",
    "Relay",
    "Repairer",
    "Republisher",
    "Said",
]
