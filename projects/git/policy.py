"""What may not come out of a workspace, though git itself would take it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from projects.git.errors import WorkRefused
from projects.git.host import MIB
from projects.git.repository import Repository
from projects.git.types import ChangeStatus, TreeEntry

BLOB_LIMIT = 10 * MIB
LINK_LIMIT = 4096
GITLINK, SYMLINK = "160000", "120000"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LEFTOVER = "leftover conflict marker"


def ensure_acceptable(repository: Repository, parents: Sequence[str], tree: str) -> None:
    """Raise WorkRefused when what ``tree`` adds to all of its ``parents`` is not wanted, saying how to mend it."""
    for refusal in refused(repository, parents, tree).values():
        raise WorkRefused(refusal)
    if len(parents) > 1:
        _ensure_resolved(repository, parents[0], tree)
        _ensure_nothing_lost(repository, parents[0], parents[1], tree)


def refused(repository: Repository, parents: Sequence[str], tree: str) -> dict[str, str]:
    """Return the paths that ``tree`` adds to all of its ``parents`` and that are not wanted, each with the reason."""
    new = [entry for entry in _added(repository, parents, tree) if entry.status is not ChangeStatus.DELETED]
    sizes = _sizes(repository, new)
    reasons = {entry.path: _refusal(repository, entry, sizes) for entry in new}
    return {path: reason for path, reason in reasons.items() if reason}


def _added(repository: Repository, parents: Sequence[str], tree: str) -> list[TreeEntry]:
    """Return the entries of ``tree`` that no parent has; with two parents most of a merge is somebody else's."""
    found = repository.entries(parents[0], tree)
    for parent in parents[1:]:
        differing = set(repository.entries(parent, tree))
        names = {(entry.path, entry.oid, entry.mode) for entry in differing}
        found = [entry for entry in found if (entry.path, entry.oid, entry.mode) in names]
    return found


def _sizes(repository: Repository, entries: Sequence[TreeEntry]) -> dict[str, int]:
    asked = "".join(f"{entry.oid}\n" for entry in entries if entry.mode != GITLINK)
    lines = repository.git.text(
        "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked.encode()
    ).splitlines()
    return {oid: int(size) for oid, size in (line.split(" ") for line in lines)}


def _refusal(repository: Repository, entry: TreeEntry, sizes: dict[str, int]) -> str:
    if CONTROL.search(entry.path):
        return f"The name {entry.path!r} has control characters in it. Rename the file."
    if entry.mode == GITLINK:
        return (
            f"{entry.path} is a git repository of its own. Delete {entry.path}/.git to submit its files, "
            "or name the directory in .gitignore."
        )
    if entry.path.rpartition("/")[2].lower() == ".gitmodules":
        return f"{entry.path} adds or changes submodules, which is not allowed. Undo it, or delete the file."
    if sizes[entry.oid] > BLOB_LIMIT:
        return (
            f"{entry.path} is {sizes[entry.oid] >> 20} MiB large; {BLOB_LIMIT >> 20} MiB is the limit. "
            "Delete it, or name it in .gitignore."
        )
    if entry.mode == SYMLINK and not _stays_inside(repository, entry, sizes):
        return f"The symlink {entry.path} leads out of the repository. Delete it, or link within the repository."
    return ""


def _stays_inside(repository: Repository, entry: TreeEntry, sizes: dict[str, int]) -> bool:
    """Whether a symlink cannot leave the tree.

    ``..`` counts only at the start of its target: behind a name that is a symlink too it could go anywhere.
    """
    if sizes[entry.oid] > LINK_LIMIT:
        return False
    target = repository.git.run("cat-file", "blob", entry.oid).output.decode("utf-8", "replace")
    parts = [part for part in target.split("/") if part not in ("", ".")]
    rising = 0
    while rising < len(parts) and parts[rising] == "..":
        rising += 1
    inner = parts[rising:]
    return not target.startswith("/") and ".." not in inner and rising <= entry.path.count("/") and ".git" not in inner


def _ensure_resolved(repository: Repository, parent: str, tree: str) -> None:
    answer = repository.git.run("diff-tree", "-r", "--check", parent, tree, accept=(0, 1, 2))
    left = sorted({line.partition(":")[0] for line in answer.text.splitlines() if LEFTOVER in line})
    if left:
        raise WorkRefused(f"There are still conflict markers in {', '.join(left[:10])}. Resolve them first.")


def _ensure_nothing_lost(repository: Repository, ours: str, theirs: str, tree: str) -> None:
    """Refuse a merge that says it has ``theirs`` but left out what merges by itself: it would undo others' work."""
    merged = repository.merge_tree(ours, theirs)
    theirs_alone = {entry.path for entry in repository.entries(ours, merged.tree)} - set(merged.conflicts)
    lost = sorted(theirs_alone - {entry.path for entry in repository.entries(ours, tree)})
    if lost:
        raise WorkRefused(
            f"The merge lost what the other branch changed in {', '.join(lost[:10])}. "
            f"Get it back: git checkout {theirs} -- FILE (git rm FILE where it was deleted)."
        )
