"""What tests need, shipped so that users can test their own handlers on real servers."""

from headwater.testing.faults import FaultProxy
from headwater.testing.servers import RunningServers, running_servers
from headwater.testing.waiting import until

__all__ = ["FaultProxy", "RunningServers", "running_servers", "until"]
