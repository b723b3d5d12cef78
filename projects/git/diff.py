"""Reading what ``git diff-tree -z`` writes."""

from __future__ import annotations

from collections.abc import Iterator

from projects.git.types import ChangeStatus, FileChange, TreeEntry

STATUS = {
    "A": ChangeStatus.ADDED,
    "C": ChangeStatus.ADDED,
    "M": ChangeStatus.MODIFIED,
    "D": ChangeStatus.DELETED,
    "R": ChangeStatus.RENAMED,
    "T": ChangeStatus.TYPE_CHANGED,
}


def _tokens(output: bytes) -> Iterator[str]:
    return iter(output.decode("utf-8", "replace").split("\0")[:-1])


def entries(output: bytes) -> list[TreeEntry]:
    """Return the entries of ``diff-tree -r -z --no-renames``."""
    tokens = _tokens(output)
    return [_entry(head, next(tokens)) for head in tokens]


def _entry(head: str, path: str) -> TreeEntry:
    _, mode, _, oid, letter = head.split(" ")
    return TreeEntry(path, STATUS[letter[0]], mode, oid)


def file_changes(output: bytes) -> list[FileChange]:
    """Return the changes of ``diff-tree -r -z -M --raw --numstat``: first every raw line, then every count."""
    tokens = _tokens(output)
    statuses: dict[str, ChangeStatus] = {}
    changes: list[FileChange] = []
    for token in tokens:
        if token.startswith(":"):
            status = STATUS[token.split(" ")[4][0]]
            path = next(tokens)
            if status is ChangeStatus.RENAMED:
                path = next(tokens)
            statuses[path] = status
        else:
            changes.append(_counted(token, tokens, statuses))
    return changes


def _counted(token: str, tokens: Iterator[str], statuses: dict[str, ChangeStatus]) -> FileChange:
    added, deleted, path = token.split("\t", 2)
    old_path = ""
    if not path:
        old_path, path = next(tokens), next(tokens)
    binary = added == "-"
    return FileChange(
        path,
        statuses[path],
        0 if binary else int(added),
        0 if binary else int(deleted),
        old_path=old_path,
        binary=binary,
    )
