"""How an application takes events in: declarations, the gate, outcomes, dead letters, the worker."""

from headwater.delivery.consumer import Consumer, Context
from headwater.delivery.outcome import Done, Limits
from headwater.delivery.pace import Pace
from headwater.delivery.waiting import wait_applied
from headwater.delivery.worker import Worker

__all__ = ["Consumer", "Context", "Done", "Limits", "Pace", "Worker", "wait_applied"]
