"""Git of a project: the trusted mirror, and the workspaces from which work comes. Nothing else starts git."""

from projects.git.equipment import Equipment
from projects.git.errors import WorkRefused, WorkspaceBroken, WorkspaceBusy
from projects.git.messages import squash_message
from projects.git.mirror import Mirror
from projects.git.types import MISSION_CONTROL, Author, ChangeStatus, Commit, FileChange, MergeTree
from projects.git.workspace import Workspace

__all__ = [
    "MISSION_CONTROL",
    "Author",
    "ChangeStatus",
    "Commit",
    "Equipment",
    "FileChange",
    "MergeTree",
    "Mirror",
    "WorkRefused",
    "Workspace",
    "WorkspaceBroken",
    "WorkspaceBusy",
    "squash_message",
]
