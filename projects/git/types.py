"""What git tells us, without git."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True)
class Author:
    """Who a commit says wrote it."""

    name: str
    email: str


MISSION_CONTROL = Author("Mission Control", "mission-control@mcc.invalid")


class ChangeStatus(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    TYPE_CHANGED = "type_changed"


@dataclass(frozen=True)
class FileChange:
    """One file that differs between two commits. A binary file has no lines: both counts are 0."""

    path: str
    status: ChangeStatus
    additions: int
    deletions: int
    old_path: str = ""
    """Where a renamed file was before."""
    binary: bool = False


@dataclass(frozen=True)
class TreeEntry:
    """One name that differs between two trees, as the new tree has it; ``mode`` is 000000 when it is gone."""

    path: str
    status: ChangeStatus
    mode: str
    oid: str


@dataclass(frozen=True)
class MergeTree:
    """What merging two commits would give. ``tree`` has conflict markers in the files of ``conflicts``."""

    tree: str
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Commit:
    sha: str
    author: Author
    at: datetime
    subject: str
    body: str


@dataclass(frozen=True)
class Blob:
    """A file of a commit, by its name, its content's id and size in bytes."""

    path: str
    oid: str
    size: int
