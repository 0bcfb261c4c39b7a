"""The admin HTTP interface: who may do what, how bodies are read, how errors are answered."""

from headwater.admin.app import admin_application
from headwater.admin.auth import EVERY, KeyRing, Principal, issue, policy, principal, require, stands
from headwater.admin.body import read_json, reply
from headwater.admin.problem import BESIDE, Beside, Problem
from headwater.admin.server import is_loopback, run_admin

__all__ = [
    "BESIDE",
    "EVERY",
    "Beside",
    "KeyRing",
    "Principal",
    "Problem",
    "admin_application",
    "is_loopback",
    "issue",
    "policy",
    "principal",
    "read_json",
    "reply",
    "require",
    "run_admin",
    "stands",
]
