"""What a unified diff says about files and lines. Display of diffs is the pages' business."""

from dataclasses import dataclass

LONGEST = 1_000_000
"""Characters of a diff that are kept with its pull request."""


@dataclass(frozen=True)
class FileChange:
    path: str
    added: int
    removed: int


def changes(diff: str) -> list[FileChange]:
    """Return the files that ``diff`` (as git writes it) changes, with the lines added and removed in each."""
    files: list[FileChange] = []
    path, added, removed, in_hunk = "", 0, 0, False
    for line in diff.splitlines():
        if line.startswith("diff --git "):
            if path:
                files.append(FileChange(path, added, removed))
            path, added, removed, in_hunk = line.rpartition(" b/")[2], 0, 0, False
        elif line.startswith("@@ "):
            in_hunk = True
        elif in_hunk and line.startswith("+"):
            added += 1
        elif in_hunk and line.startswith("-"):
            removed += 1
    if path:
        files.append(FileChange(path, added, removed))
    return files


def stat(diff: str) -> str:
    """Return one line a file, as ``git diff --stat`` would say it."""
    return "\n".join(f"{change.path} +{change.added} -{change.removed}" for change in changes(diff))
