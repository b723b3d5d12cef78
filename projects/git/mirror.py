"""The trusted bare repository of a project: everything that MCC knows of its code is read here.

``refs/remotes/origin/*`` follow the forge, ``refs/heads/*`` are the branches of tasks, which only ``Workspace``
and the merge train move. What a workspace was made from is pinned, or a force-push at the forge and a clean-up
here would pull the objects from under it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from projects.forge import CloneSpec, Conflict, NotFound, forge_of
from projects.git.errors import WorkRefused
from projects.git.host import LONG, MIB, GitFailed, HostGit, Limits, Owner, directory
from projects.git.linked import Linked, is_path
from projects.git.lock import FileLock
from projects.git.remote import create_bare, fetch_url
from projects.git.repository import Repository, checked, is_oid
from projects.models import Project

ORIGIN = "refs/remotes/origin/"
HEADS = "refs/heads/"
KEEP = "refs/mcc/keep/"
HELD = "refs/mcc/workspaces/"
PACK_LIMIT = 64 * MIB
PACKS_BEFORE_TIDYING = 40
LOCK_WAIT_S = 600
INGEST = Limits(wall_s=90, cpu_s=60)


class Mirror(Repository):
    """MCC's own copy of the repository of the project ``project_id``. Cheap to make; made on disk by ``fetch``."""

    def __init__(self, project_id: int) -> None:
        self.project_id = project_id
        self.path = directory("repositories") / f"{project_id}.git"
        super().__init__(HostGit(self.path, Owner.of_mirrors()))

    def lock(self, stop: threading.Event | None = None) -> FileLock:
        """Return the lock for whoever adds or removes objects; hold it as briefly as the work allows."""
        return FileLock(directory("locks") / f"repository-{self.project_id}", wait_s=LOCK_WAIT_S, stop=stop)

    def fetch(self, stop: threading.Event | None = None) -> None:
        """Learn what is new at the project's forge. Raises ForgeErrors, at once when ``stop`` is set."""
        self.fetch_from(forge_of(Project.objects.get(pk=self.project_id)).fetch_source(stop), stop)

    def fetch_from(self, source: CloneSpec, stop: threading.Event | None = None) -> None:
        """Let ``refs/remotes/origin/*`` be as the branches of ``source``. Raises ForgeErrors."""
        with self.lock(stop):
            create_bare(self.git)
            self._forget_locks()
            if is_path(source.url):
                self._follow(Linked.at(source.url, stop))
            else:
                fetch_url(replace(self.git, stop=stop), source, f"+{HEADS}*:{ORIGIN}*")
            if len(list(self.path.glob("objects/pack/*.pack"))) > PACKS_BEFORE_TIDYING:
                self.git.run("repack", "-q", "-d", "--geometric=2", limits=LONG)

    def _forget_locks(self) -> None:
        """Remove locks that git left when it was killed, or when power failed: no git of ours lives that long."""
        before = time.time() - 2 * LONG.wall_s
        for lock in chain(self.path.glob("*.lock"), self.path.glob("refs/**/*.lock")):
            with suppress(FileNotFoundError):
                if lock.lstat().st_mtime < before:
                    lock.unlink()

    def head(self, branch: str) -> str:
        """Return the tip of ``branch``: of a task when there is one of that name, else the forge's. Raises NotFound."""
        sha = self.ref(HEADS + branch) or self.ref(ORIGIN + branch)
        if sha is None:
            raise NotFound(f"There is no branch {branch}.")
        return sha

    def merged_tree(self, sha: str, *, base_branch: str, base: str, expected: str) -> str | None:
        """Return the tree of ``sha`` merged onto ``base``, the tip of ``base_branch``; None when that changes nothing.

        Raises Conflict when the branch moved on from ``expected``, or when files do not merge (``files``).
        """
        if base != expected:
            raise Conflict(f"{base_branch} moved on from {expected[:12]} to {base[:12]}.")
        merged = self.merge_tree(base, sha)
        if merged.conflicts:
            names = ", ".join(merged.conflicts[:10])
            raise Conflict(f"{base_branch} changed the same lines: {names}.", files=merged.conflicts)
        return None if merged.tree == self.tree_of(base) else merged.tree

    def branches(self) -> dict[str, str]:
        """Return the forge's branches and their tips, as of the last fetch."""
        return self.refs(ORIGIN)

    def pin(self, sha: str) -> None:
        """Keep ``sha`` and all that it needs for good, whatever happens to branches. Raises NotFound."""
        self._keep(KEEP, sha)

    def unpin(self, sha: str) -> None:
        """Let ``sha`` go, unless something else holds it."""
        self.delete_ref(KEEP + checked(sha))

    def hold(self, workspace: str, sha: str) -> None:
        """Keep ``sha`` as long as ``workspace`` lives. Raises NotFound."""
        self._keep(f"{HELD}{workspace}/", sha)

    def _keep(self, prefix: str, sha: str) -> None:
        try:
            self.git.run("update-ref", "--no-deref", prefix + checked(sha), sha)
        except GitFailed:
            if self.has(sha):
                raise
            raise NotFound(f"There is no commit {sha}.") from None

    def landed(self, branch: str, sha: str) -> None:
        """Take note that the forge's ``branch`` is at ``sha`` now, which came from here."""
        self.git.run("update-ref", "--no-deref", ORIGIN + branch, checked(sha))

    def let_go(self, workspace: str) -> None:
        """Drop all that was kept for ``workspace``."""
        for sha in self.refs(f"{HELD}{workspace}/"):
            self.delete_ref(f"{HELD}{workspace}/{sha}")

    def gc(self) -> None:
        """Throw away what nothing holds and nobody touched for two weeks. Slow on a big repository."""
        with self.lock():
            self.git.run("gc", "-q", "--prune=2.weeks.ago", limits=LONG)

    def ingest(self, data: bytes, known: Sequence[str]) -> str:
        """Take ``<commit id>\\n<pack>`` from a sandbox and return the tree of that commit.

        Whoever wrote it may be hostile: the pack is checked object by object, must be complete given the
        ``known`` commits, and no ref moves. Raises WorkRefused.
        """
        line, _, pack = data.partition(b"\n")
        oid = line.decode("latin-1")
        if not is_oid(oid):
            raise WorkRefused("The workspace's git did not answer with a commit.")
        with self.lock():
            self._index(pack)
            tree = self.git.run("rev-parse", "--verify", "-q", f"{oid}^{{tree}}", accept=(0, 1, 128)).text
            if not is_oid(tree):
                raise WorkRefused("The workspace's git named a commit that it did not send.")
            without = [f"^{sha}" for sha in known]
            if self.git.run("rev-list", "--objects", "--quiet", tree, *without, accept=(0, 1, 128)).exit_code:
                raise WorkRefused("The workspace's git left out objects of the commit.")
        return tree

    def _index(self, pack: bytes) -> None:
        command = ("index-pack", "--stdin", "--fix-thin", "--strict", f"--max-input-size={PACK_LIMIT}")
        try:
            self.git.run(*command, stdin=pack, limits=INGEST)
        except GitFailed as failure:
            reason = (failure.error.strip().splitlines() or ["it took too long"])[0]
            raise WorkRefused(f"Git refuses these files: {reason[:200]}") from failure

    def _follow(self, linked: Linked) -> None:
        theirs, ours = linked.refs(HEADS), self.refs(ORIGIN)
        linked.send_to(self, list(theirs.values()), known=ours.values())
        # Deletions first: a branch `a` and a branch `a/b` cannot be there at the same time.
        gone = "".join(f"delete {ORIGIN}{name}\n" for name in ours if name not in theirs)
        moved = "".join(f"update {ORIGIN}{name} {sha}\n" for name, sha in theirs.items() if ours.get(name) != sha)
        for changes in (gone, moved):
            if changes:
                self.git.run("update-ref", "--no-deref", "--stdin", stdin=changes.encode())
