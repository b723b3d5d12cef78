"""Limits that the kernel keeps for all processes of a sandbox together, where Mission Control has control groups.

Groups are made only below one that was given to us: the one that MCC_SANDBOX_CGROUP names, else our own when it was
delegated. Whose they are otherwise (systemd, a container's manager) may move or remove what it did not make.
https://systemd.io/CGROUP_DELEGATION/
"""

from agents.sandbox.cgroups.finding import Found, find
from agents.sandbox.cgroups.group import Group, reap
from agents.sandbox.cgroups.watch import GroupWatch

__all__ = ["Found", "Group", "GroupWatch", "find", "reap"]
