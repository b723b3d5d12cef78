"""A person's own repository on this machine, with or without a work tree.

Its config is code: git runs there as the owner of the directory, with everything switched off that the config
could execute, and does as little as possible. Merges are computed in the mirror and arrive as finished commits.
"""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from projects.forge import Conflict, Forbidden, InTheWay, NotFound
from projects.git.host import GitFailed, HostGit, Owner
from projects.git.repository import Repository

HEADS = "refs/heads/"
QUIET = ("--quiet", "--no-ext-diff", "--ignore-submodules")


def is_path(location: str) -> bool:
    """Whether ``location`` is on this machine: a path or a file:// URL."""
    return "://" not in location or location.startswith("file://")


def path_of(location: str) -> Path:
    """Return the absolute path that ``location`` means. Raises NotFound when there is no such directory."""
    path = Path(unquote(urlsplit(location).path) if location.startswith("file://") else location)
    if not path.is_absolute():
        raise NotFound(f"{location} is neither an absolute path on this machine nor an https URL.")
    try:
        path = path.resolve(strict=True)
        found = path.is_dir()
    except (OSError, RuntimeError):
        found = False
    if not found:
        raise NotFound(f"There is no directory {location} on this machine.")
    return path


class Linked(Repository):
    """Somebody's repository at ``path``; ``work_tree`` is None for a bare one."""

    def __init__(self, path: Path, git_dir: Path, work_tree: Path | None, stop: threading.Event | None = None) -> None:
        self.path = path
        self.work_tree = work_tree
        super().__init__(HostGit(git_dir, Owner.of(git_dir), stop=stop))

    @classmethod
    def at(cls, location: str, stop: threading.Event | None = None) -> Linked:
        """Return the repository at a path or file:// URL. Raises NotFound, Forbidden.

        Once ``stop`` is set, git there comes to an end, with GitFailed.
        """
        path = path_of(location)
        try:
            return cls._find(path, stop)
        except PermissionError:
            raise Forbidden(f"MCC may not read {path}.") from None

    @classmethod
    def _find(cls, path: Path, stop: threading.Event | None) -> Linked:
        inner = path / ".git"
        if inner.is_file() or inner.is_symlink():
            raise NotFound(f"{path} is an extra work tree or a submodule: give the main repository instead.")
        git_dir, work_tree = (inner, path) if inner.is_dir() else (path, None)
        if not ((git_dir / "HEAD").is_file() and (git_dir / "objects").is_dir()):
            raise NotFound(f"{path} is not a git repository.")
        return cls(path, git_dir, work_tree, stop)

    def current_branch(self) -> str:
        """Return the branch that HEAD names, "" when it names none. It need not have a commit."""
        return self.git.run("symbolic-ref", "-q", "--short", "HEAD", accept=(0, 1)).text

    def move_branch(self, branch: str, new: str, old: str | None) -> None:
        """Let ``branch`` point at ``new`` if it points at ``old`` now, and bring its work tree along.

        Raises Conflict when it does not, InTheWay when it is checked out and the work tree is not clean.
        """
        if not self._is_checked_out_here(branch):
            self.update_ref(HEADS + branch, new, old)
            return
        if self.ref(HEADS + branch) != old or old is None:
            raise Conflict(f"{branch} moved meanwhile.")
        tree = self._work_tree_git()
        self._check_out(tree, branch, old, new)
        try:
            self.update_ref(HEADS + branch, new, old)
        except Conflict:
            tree.run("read-tree", "-u", "-m", new, old)
            raise

    def delete_branch(self, branch: str) -> None:
        """Remove ``branch``, if it is there. Raises InTheWay when it is checked out."""
        if self._is_checked_out_here(branch):
            raise InTheWay(f"{branch} is checked out in {self.path}: switch to another branch there.")
        self.delete_ref(HEADS + branch)

    def _is_checked_out_here(self, branch: str) -> bool:
        """Whether the work tree is on ``branch``. Raises InTheWay when an extra work tree is."""
        listing = self.git.run("worktree", "list", "--porcelain", "-z").output.decode("utf-8", "replace")
        trees = [record.split("\0") for record in listing.split("\0\0") if record]
        for number, lines in enumerate(trees):
            if f"branch {HEADS}{branch}" not in lines or any(line.startswith("prunable") for line in lines):
                continue
            if number == 0:
                return self.work_tree is not None
            where = lines[0].removeprefix("worktree ")
            raise InTheWay(f"{branch} is checked out in {where}: switch that work tree to another branch.")
        return False

    def _work_tree_git(self) -> HostGit:
        """Return git on the work tree with every filter of the config made a no-op: their names are free."""
        names = self.git.run("config", "--includes", "--name-only", "-z", "--get-regexp", r"^filter\.", accept=(0, 1))
        keys = names.output.decode("utf-8", "replace").split("\0")[:-1]
        drivers = {key.rpartition(".")[0] for key in keys}
        off = [
            f"{driver}.{setting}"
            for driver in sorted(drivers)
            for setting in ("clean=", "smudge=", "process=", "required=false")
        ]
        return HostGit(self.git.git_dir, self.git.owner, work_tree=self.work_tree, overrides=tuple(off))

    def _check_out(self, tree: HostGit, branch: str, old: str, new: str) -> None:
        """Bring a clean work tree from ``old`` to ``new``, as ``receive.denyCurrentBranch=updateInstead`` does."""
        tree.run("update-index", "-q", "--ignore-submodules", "--refresh", accept=(0, 1))
        untouched = tree.run("diff-files", *QUIET, accept=(0, 1)).exit_code == 0
        if untouched and self._index_is(tree, new):
            return  # a merge of the same tree was killed after it had come this far
        if not untouched or not self._index_is(tree, old):
            raise InTheWay(
                f"{branch} is checked out in {self.path} with uncommitted changes. "
                "Commit or stash them there, or switch to another branch; then try again."
            )
        try:
            tree.run("read-tree", "-u", "-m", old, new)
        except GitFailed as failure:
            raise InTheWay(
                f"{branch} is checked out in {self.path}, and untracked files are in the way: "
                f"{failure.error.strip()[:500]} Move them away, or switch to another branch; then try again."
            ) from failure

    def _index_is(self, tree: HostGit, commit: str) -> bool:
        return tree.run("diff-index", "--cached", *QUIET, commit, accept=(0, 1)).exit_code == 0
