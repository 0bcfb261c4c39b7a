"""What a process tells about itself: log lines, metrics, and the id that ties them together."""

from headwater.telemetry.context import correlated, correlation, new_correlation
from headwater.telemetry.logs import configure, logger, safe_text
from headwater.telemetry.metrics import Metrics

__all__ = ["Metrics", "configure", "correlated", "correlation", "logger", "new_correlation", "safe_text"]
