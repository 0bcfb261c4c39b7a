"""Jobs and statuses in the words of the existing service: what its callers read stays where it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from headwater import clock
from headwater.replay import Job, Standing, SyncStatus
from headwater.replay.examining import as_dict
from headwater.replay.jobs import DETAILS

SECTIONS = {
    "credits": ("credits",),
    "organizations": ("organizations",),
    "assignments": ("assignments",),
    "users": ("users",),
    "roles": ("roles", "role_assignments"),
}
"""The sections of a report and the subjects each adds up."""


def job_report(job: Job) -> dict[str, Any]:
    """A job as it stands: what callers poll."""
    return {
        "id": job.id,
        "tenantId": job.tenant,
        "appCode": job.app,
        "state": job.state,
        "finished": job.finished,
        "pauseAsked": job.paused,
        "cancelAsked": job.cancelled,
        "priority": job.priority,
        "rate": job.rate,
        "reason": job.reason,
        "askedBy": job.asked_by,
        "sinceDate": job.since,
        "createdAt": job.created_at,
        "startedAt": job.started_at,
        "finishedAt": job.finished_at,
        "error": job.error,
        "subjects": [
            {
                "subject": part.subject,
                "state": part.state,
                "expected": part.expected,
                "read": part.read,
                "published": part.published,
                "failed": part.failed,
                "error": part.error,
            }
            for part in job.parts
        ],
    }


def standing_report(job: Job, standing: Standing) -> dict[str, Any]:
    """A job and how far it is: rows read, published, delivered and applied; seconds it may take yet."""
    figures = ("read", "published", "delivered", "applied", "failed")
    subjects = [
        {
            "subject": one.subject,
            "state": one.state,
            "expected": one.expected,
            **{name: getattr(one, name) for name in figures},
            "chunks": one.chunks,
        }
        for one in standing.subjects
    ]
    total: dict[str, Any] = {name: sum(getattr(one, name) for one in standing.subjects) for name in figures}
    expected = [one.expected for one in standing.subjects]
    total["expected"] = None if None in expected else sum(count or 0 for count in expected)
    progress = {"subjects": subjects, "total": total, "etaSeconds": standing.eta, "parked": standing.parked}
    return {**job_report(job), "progress": progress}


def finished_report(job: Job) -> dict[str, Any]:
    """What the existing service answers when a sync has ended, and the job it was."""
    by_subject = {part.subject: part for part in job.parts}
    sections: dict[str, Any] = {}
    for section, subjects in SECTIONS.items():
        parts = [by_subject[name] for name in subjects if name in by_subject]
        details = [detail for part in parts for detail in part.details]
        sections[section] = {
            "synced": sum(part.published for part in parts),
            "failed": sum(part.failed for part in parts),
            "details": details[:DETAILS],
            "detailsTruncated": sum(part.published + part.failed for part in parts) > len(details[:DETAILS]),
        }
    failed = sum(one["failed"] for one in sections.values())
    summary = {
        "totalSynced": sum(one["synced"] for one in sections.values()),
        "totalFailed": failed,
        "success": failed == 0 and job.state in {"verified", "partial"},
    }
    error = {"error": job.error} if job.error else {}
    head = _head(job.tenant, job.app, dry_run=False)
    return {**head, **sections, "summary": summary, "job": job_report(job), **error}


def dry_report(tenant: str, app: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """What a sync would say: counts only, nothing was published."""
    sections = {
        section: {"synced": _total(counts, subjects), "failed": 0, "details": []}
        for section, subjects in SECTIONS.items()
    }
    total = sum(_total(counts, subjects) for subjects in SECTIONS.values())
    summary = {"totalSynced": total, "totalFailed": 0, "success": True}
    return {**_head(tenant, app, dry_run=True), **sections, "summary": summary}


def _head(tenant: str, app: str, *, dry_run: bool) -> dict[str, Any]:
    return {"tenantId": tenant, "appCode": app, "dryRun": dry_run, "timestamp": clock.stamp(clock.now())}


def _total(counts: Mapping[str, int], subjects: Iterable[str]) -> int:
    return sum(counts.get(name, 0) for name in subjects)


def status_report(status: SyncStatus, *, totals: bool = True) -> dict[str, Any]:
    """The existing service's counts and `needsSync`, and what they rest on.

    `totals`: whether to tell counts over all tenants; null where not.
    """
    group = status.group
    return {
        "tenantId": status.tenant,
        "appCode": status.app,
        "activeAllocations": status.counts.get("credits", 0),
        "totalOrganizations": status.counts.get("organizations", 0),
        "totalMemberships": status.counts.get("assignments", 0),
        "needsSync": status.needed,
        "syncState": status.state,
        "reason": status.reason,
        "subjects": [
            {**as_dict(one), "lastCleanPass": _seen(status, one.subject)} for one in status.subjects
        ],
        "job": job_report(status.job) if status.job else None,
        "group": group
        and {
            "livingConsumers": group.living,
            "lag": group.lag if totals else None,
            "lagSeconds": round(group.lag_seconds, 3),
            "pending": group.pending if totals else None,
            "lastApply": group.applied_at,
            "deadLetters": group.parked,
        },
    }


def _seen(status: SyncStatus, subject: str) -> datetime | None:
    return status.last_clean.get(subject)
