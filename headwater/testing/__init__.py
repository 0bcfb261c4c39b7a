"""What tests need, shipped so that users can test their own handlers on real servers."""

from headwater.testing.faults import FaultProxy
from headwater.testing.servers import RunningServers, running_servers
from headwater.testing.waiting import until
from headwater.testing.wire import Fault, PostgresProxy, RedisProxy

__all__ = [
    "Fault",
    "FaultProxy",
    "PostgresProxy",
    "RedisProxy",
    "RunningServers",
    "running_servers",
    "until",
]
