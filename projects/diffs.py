"""What a unified diff says about files and lines. Display of diffs is the pages' business."""

from dataclasses import dataclass

LONGEST = 1_000_000
"""Characters of a diff that are kept with its pull request."""


@dataclass(frozen=True)
class FileChange:
    """One file of a diff. ``patch`` is its part of the diff, ``lines`` how many that are."""

    path: str
    added: int
    removed: int
    patch: str = ""
    lines: int = 0


def changes(diff: str) -> list[FileChange]:
    """Return the files that ``diff`` (as git writes it) changes, with the lines added and removed in each."""
    files: list[FileChange] = []
    part: list[str] = []
    for line in diff.removesuffix("\n").split("\n"):
        if line.startswith("diff --git ") and part:
            files.append(_change(part))
            part = []
        part.append(line)
    if part and part[0].startswith("diff --git "):
        files.append(_change(part))
    return files


def _change(part: list[str]) -> FileChange:
    added = removed = 0
    in_hunk = False
    for line in part:
        if line.startswith("@@ "):
            in_hunk = True
        elif in_hunk and line.startswith("+"):
            added += 1
        elif in_hunk and line.startswith("-"):
            removed += 1
    return FileChange(part[0].rpartition(" b/")[2], added, removed, "\n".join(part) + "\n", len(part))


def stat(diff: str) -> str:
    """Return one line a file, as ``git diff --stat`` would say it."""
    return "\n".join(f"{change.path} +{change.added} -{change.removed}" for change in changes(diff))
