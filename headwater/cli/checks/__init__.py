"""What `headwater doctor` looks at: each check gives findings, and every failed one its remedy."""

from headwater.cli.checks.finding import Finding, fail, ok, warn

__all__ = ["Finding", "fail", "ok", "warn"]
