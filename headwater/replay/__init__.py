"""Say the past again: backfills, their jobs, and the proof that source and application agree."""

from headwater.replay.backfill import Backfill, scopes
from headwater.replay.digest import Mirrored
from headwater.replay.examining import Finding, examined
from headwater.replay.history import History, SyncStatus
from headwater.replay.jobs import Job, Jobs
from headwater.replay.pacing import Hours
from headwater.replay.progress import Standing
from headwater.replay.runner import Runner
from headwater.replay.saying import Saying
from headwater.replay.sides import Sides
from headwater.replay.ways import Ways
from headwater.replay.window import Window

__all__ = [
    "Backfill",
    "Finding",
    "History",
    "Hours",
    "Job",
    "Jobs",
    "Mirrored",
    "Runner",
    "Saying",
    "Sides",
    "Standing",
    "SyncStatus",
    "Ways",
    "Window",
    "examined",
    "scopes",
]
