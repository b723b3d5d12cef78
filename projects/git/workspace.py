"""The directory of one task, and how work comes out of it.

Whatever lies in a workspace was written by an agent, its ``.git`` too. So every git command on it runs inside
the sandbox, the mirror is bound there read-only, and the only thing that comes out is a pack with one commit of
which the mirror takes nothing but the tree.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from agents.sandbox import backend
from agents.sandbox.errors import SandboxGone
from agents.sandbox.places import delete_workspace, make_workspace
from agents.sandbox.types import Ending, Mount, Result, Sandbox, SandboxSpec
from projects.git import policy, scripts
from projects.git.equipment import Equipment
from projects.git.errors import WorkRefused, WorkspaceBroken, WorkspaceBusy
from projects.git.host import directory
from projects.git.lock import Busy, FileLock
from projects.git.mirror import HEADS, PACK_LIMIT, Mirror
from projects.git.repository import DIFF_LIMIT
from projects.git.types import MISSION_CONTROL, Author

REPOSITORY = "/mcc/repo.git"
SETUP = "/mcc/setup"
OPEN_WAIT_S = 10.0
CHECKOUT_WALL_S = 600.0
LONGEST_ID = 65
KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")

_SETTINGS = {
    "safe.directory": "*",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "init.defaultBranch": "main",
    "user.name": "Agent",
    "user.email": "agent@mcc.invalid",
}
ENVIRONMENT = MappingProxyType(
    {
        "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
        **{f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(_SETTINGS)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(_SETTINGS.values())},
    }
)


class Workspace:
    """The workspace ``key`` of a project, for one opener at a time. Cheap to make; ``open`` does the work."""

    def __init__(self, key: str, mirror: Mirror) -> None:
        if not KEY.fullmatch(key):
            raise ValueError(f"not a key of a workspace: {key!r}")
        self.key = key
        self.mirror = mirror
        self.name = f"p{mirror.project_id}-{key}"
        self.branch = ""
        self.sandbox: Sandbox | None = None
        self._is_equipped = False
        self._broken_off = threading.Event()
        self._lock = FileLock(directory("locks") / self.name, wait_s=OPEN_WAIT_S, stop=self._broken_off)

    def open(self, sha: str, branch: str, equipment: Equipment | None = None) -> Sandbox:
        """Return the sandbox on this workspace, made from ``sha`` on ``branch`` if it is new.

        An old one is as it was left, uncommitted work too. Raises WorkspaceBusy while another has it open,
        SandboxError (SandboxGone after ``break_off``), NotFound when the mirror has no ``sha``.
        """
        if self.sandbox is not None:
            return self.sandbox
        self._acquire()
        try:
            self._start(branch, equipment or Equipment())
            if self._broken_off.is_set():
                raise SandboxGone(f"Nobody waits for the workspace {self.key} any more.")
            if self._made.exists():
                self._link()
            else:
                self.reset(sha)
        except BaseException:
            self.close()
            raise
        assert self.sandbox is not None
        return self.sandbox

    def reset(self, sha: str) -> None:
        """Make the workspace anew at ``sha``, with nothing left of what was in it.

        Not ``git reset``: excludes, filters, index flags and build caches that an agent left behind would
        decide what a tester sees.
        """
        self.mirror.hold(self.name, sha)
        self._made.unlink(missing_ok=True)
        result = self._git(scripts.CHECK_OUT, sha, self.branch, wall_s=CHECKOUT_WALL_S)
        if not result.ok:
            raise WorkspaceBroken(f"The workspace could not be made ({result.outcome}): {result.text[-300:]}")
        self._link()
        self._made.touch()

    def seal(self) -> None:
        """Leave only what was added to the check-out, so that others can be shown it (``Equipment.layer``)."""
        result = self._git(scripts.SEAL, wall_s=CHECKOUT_WALL_S)
        if not result.ok:
            raise WorkspaceBroken(f"The set-up could not be kept ({result.outcome}): {result.text[-300:]}")

    def _link(self) -> None:
        """Let what the set-up added appear where it was made, out of git's sight. What the agent has there stays."""
        if self._is_equipped:
            self._git(scripts.LINK)

    def diff(self, base: str, *, limit: int = DIFF_LIMIT) -> str:
        """Return how all files, committed or not, differ from ``base``, as a unified diff cut after ``limit``."""
        self.mirror.hold(self.name, base)
        return self._answer(scripts.DIFF, base, kept=limit)

    def status(self) -> str:
        """Return what is not committed, as ``git status --short`` says it."""
        return self._answer(scripts.STATUS)

    def begin_merge(self, sha: str) -> tuple[str, ...]:
        """Merge ``sha`` into the files and leave conflict markers in those that are returned; commits nothing.

        Then ``collect(..., merged=sha)`` makes the merge commit.
        """
        self.mirror.hold(self.name, sha)
        return tuple(self._answer(scripts.BEGIN_MERGE, sha).split("\0")[:-1])

    def collect(
        self,
        base_sha: str,
        message: str,
        author: Author = MISSION_CONTROL,
        *,
        merged: str = "",
        left_out: Callable[[Sequence[str]], str] | None = None,
    ) -> str | None:
        """Make the files as they are now the next commit of the branch, in the mirror, and return it.

        Its parent is the branch's tip, else ``base_sha``; ``merged`` is a second parent. When nothing changed
        the tip is returned, or None when there is none, so it does no harm twice. With ``left_out`` what may not
        come out stays as it was, and what it says of those paths ends the message. Raises WorkRefused with a text for
        the agent, Conflict when somebody else moved the branch.
        """
        ref = HEADS + self.branch
        tip = self.mirror.ref(ref)
        parents = [tip or base_sha]
        if merged and not self.mirror.is_ancestor(merged, parents[0]):
            parents.append(merged)
        tree = self.mirror.ingest(self._pack(parents), parents)
        if left_out and (unwanted := policy.refused(self.mirror, parents, tree)):
            tree = self.mirror.restored(tree, parents[0], unwanted)
            message += left_out(sorted(unwanted))
        if tree == self.mirror.tree_of(parents[0]) and len(parents) == 1:
            return tip
        policy.ensure_acceptable(self.mirror, parents, tree)
        sha = self.mirror.commit_tree(tree, parents, message, author)
        self.mirror.update_ref(ref, sha, tip)
        self.mirror.hold(self.name, sha)
        self._git(scripts.MOVE_HEAD, sha, self.branch)
        return sha

    def break_off(self) -> None:
        """Let whoever opens it in another thread come to an end at once, with an error. Then ``close`` it."""
        self._broken_off.set()
        if (sandbox := self.sandbox) is not None:
            sandbox.close()

    def close(self) -> None:
        """Kill what runs, let go of the lock; the files stay. Harmless the second time."""
        try:
            self._end()
        finally:
            self._lock.release()

    def discard(self) -> None:
        """Delete the workspace and what it held in the mirror. Raises WorkspaceBusy while another has it open."""
        if self.sandbox is None:
            self._acquire()
        try:
            self._end()
            self._made.unlink(missing_ok=True)
            delete_workspace(self.name)
            self.mirror.let_go(self.name)
        finally:
            self._lock.release(remove=True)

    def _end(self) -> None:
        sandbox, self.sandbox = self.sandbox, None
        if sandbox is not None:
            sandbox.close()

    @property
    def _made(self) -> Path:
        """A file of ours, out of the agent's reach, that says that the check-out came to its end."""
        return directory("made") / self.name

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Busy as busy:
            raise WorkspaceBusy(f"Somebody else works in the workspace {self.key}.") from busy

    def _start(self, branch: str, equipment: Equipment) -> None:
        self.branch = branch
        self._is_equipped = equipment.layer is not None
        mounts = [Mount(self.mirror.path, REPOSITORY)]
        if equipment.layer is not None:
            mounts.append(Mount(equipment.layer, SETUP))
        spec = SandboxSpec(
            workspace_id=self.name,
            workspace=make_workspace(self.name),
            mounts=tuple(mounts),
            env={**equipment.env, **ENVIRONMENT},
            egress=equipment.egress,
            limits=equipment.limits,
            toolchains=equipment.toolchains,
            image=equipment.image,
            ahead=True,
        )
        self.sandbox = backend().create(spec)

    def _pack(self, parents: Sequence[str]) -> bytes:
        """Return ``<commit>\\n<pack>`` with what the parents do not have."""
        result = self._git(scripts.SNAPSHOT, *parents, kept=PACK_LIMIT + LONGEST_ID)
        if result.outcome is Ending.EXITED and not result.ok:
            # Only the files matter: a .git that was deleted or damaged is made anew around them.
            self._git(scripts.RECONNECT, parents[0], self.branch)
            self._link()
            result = self._git(scripts.SNAPSHOT, *parents, kept=PACK_LIMIT + LONGEST_ID)
        if result.truncated or result.output_total > PACK_LIMIT:
            raise WorkRefused(
                f"The change is larger than {PACK_LIMIT >> 20} MiB. Remove build results and data files, "
                "or name them in .gitignore."
            )
        if not result.ok:
            raise WorkRefused(
                f"Git in the workspace could not put the files together: {result.text.strip()[-500:] or 'no reason'}\n"
                "Look at `git status`: is a file unreadable, or a directory a repository of its own?"
            )
        return result.output

    def _answer(self, script: str, *args: str, kept: int = DIFF_LIMIT) -> str:
        result = self._git(script, *args, kept=kept)
        if not (result.ok or result.truncated):
            raise WorkspaceBroken(f"Git in the workspace failed ({result.outcome}): {result.text[-300:]}")
        return result.text

    def _git(self, script: str, *args: str, kept: int = DIFF_LIMIT, wall_s: float = 120.0) -> Result:
        if self.sandbox is None:
            raise SandboxGone(f"The workspace {self.key} is not open.")
        limits = replace(
            self.sandbox.spec.limits, wall_s=wall_s, output_kept=kept, output=max(kept + 1, PACK_LIMIT + LONGEST_ID)
        )
        return self.sandbox.run(["/bin/sh", "-c", scripts.PRELUDE + script, "mcc", *args], limits=limits, offline=True)
