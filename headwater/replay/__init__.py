"""Say the past again: backfills, their jobs, and the proof that source and application agree."""

from headwater.replay.backfill import Backfill
from headwater.replay.digest import Comparer, Comparison, Mirrored
from headwater.replay.history import History, SyncStatus
from headwater.replay.job_run import Ways
from headwater.replay.jobs import Job, Jobs
from headwater.replay.runner import Runner
from headwater.replay.window import Window

__all__ = [
    "Backfill",
    "Comparer",
    "Comparison",
    "History",
    "Job",
    "Jobs",
    "Mirrored",
    "Runner",
    "SyncStatus",
    "Ways",
    "Window",
]
