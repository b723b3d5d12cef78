"""Reading and writing one repository by plumbing: objects and refs, no work tree."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from projects.forge import Conflict, NotFound
from projects.git import diff
from projects.git.host import LONG, MIB, GitFailed, HostGit, Limits
from projects.git.types import MISSION_CONTROL, Author, Blob, Commit, FileChange, MergeTree, TreeEntry

OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
DIFF_LIMIT = 2 * MIB
FILE_LIMIT = 1 * MIB
PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "-r")


def is_oid(text: str) -> bool:
    """Whether ``text`` is a whole object id: only these may reach a command line from outside.

    All zeros is none: to git it means "delete" or "does not exist".
    """
    return OID.fullmatch(text) is not None and text.strip("0") != ""


def checked(sha: str) -> str:
    """Return ``sha`` if it is a whole object id. Raises NotFound."""
    if not is_oid(sha):
        raise NotFound(f"{sha[:80]!r} is not the id of a commit.")
    return sha


class Repository:
    """One repository behind ``git``. Commits are given and returned as full ids, branches by their short name."""

    def __init__(self, git: HostGit) -> None:
        self.git = git

    def ref(self, name: str) -> str | None:
        """Return what the full ref ``name`` points at, None when there is no such ref."""
        answer = self.git.run("show-ref", "--verify", "--hash", "--", name, accept=(0, 1, 128))
        return answer.text if answer.exit_code == 0 else None

    def refs(self, prefix: str) -> dict[str, str]:
        """Return the refs below ``prefix`` (``refs/heads/``), named without it."""
        lines = self.git.text("for-each-ref", "--format=%(objectname) %(refname)", prefix).splitlines()
        pairs = (line.split(" ", 1) for line in lines)
        return {name.removeprefix(prefix): oid for oid, name in pairs}

    def update_ref(self, name: str, new: str, old: str | None, *, reason: str = "mission control") -> None:
        """Let the full ref ``name`` point at ``new`` if it points at ``old`` (None: does not exist) now.

        Raises Conflict when it does not, and changes nothing.
        """
        expected = old or "0" * len(new)
        try:
            self.git.run("update-ref", "--no-deref", "-m", reason, name, checked(new), expected)
        except GitFailed:
            if (now := self.ref(name)) == old:
                raise
            raise Conflict(f"{name} is at {now or 'nothing'}, not at {old or 'nothing'} as expected.") from None

    def delete_ref(self, name: str) -> None:
        """Remove the full ref ``name``. Harmless when there is none."""
        self.git.run("update-ref", "--no-deref", "-d", name)

    def has(self, sha: str) -> bool:
        return is_oid(sha) and self.git.run("cat-file", "-e", sha, accept=(0, 1, 128)).exit_code == 0

    def known(self, shas: Iterable[str]) -> list[str]:
        """Return those of ``shas`` whose objects are here."""
        asked = "".join(f"{sha}\n" for sha in shas if is_oid(sha))
        lines = self.git.text("cat-file", "--batch-check=%(objectname)", stdin=asked.encode()).splitlines()
        return [line for line in lines if is_oid(line)]

    def tree_of(self, sha: str) -> str:
        """Return the tree of a commit. Raises NotFound."""
        spec = f"{checked(sha)}^{{tree}}"
        answer = self.git.run("rev-parse", "--verify", "--quiet", spec, accept=(0, 1, 128))
        if answer.exit_code:
            raise NotFound(f"There is no commit {sha}.")
        return answer.text

    def parent(self, sha: str) -> str:
        """Return the first parent of a commit: for a merge, the base as it was before. Raises NotFound."""
        answer = self.git.run("rev-parse", "--verify", "--quiet", f"{checked(sha)}^1", accept=(0, 1, 128))
        if answer.exit_code:
            raise NotFound(f"The commit {sha} has no parent.")
        return answer.text

    def send_to(self, other: Repository, wanted: Sequence[str], *, known: Iterable[str] = ()) -> None:
        """Copy ``wanted`` commits with all that they need into ``other``; it holds what is ``known`` already."""
        missing = set(wanted) - set(other.known(wanted))
        if not missing:
            return
        lines = [*missing, *(f"^{sha}" for sha in self.known(known))]
        self.git.pipe_into(
            other.git,
            ("pack-objects", "-q", "--revs", "--thin", "--stdout", "--delta-base-offset"),
            ("index-pack", "--stdin", "--fix-thin"),
            stdin="".join(f"{line}\n" for line in lines).encode(),
        )

    def diff(self, base: str, head: str, *, limit: int = DIFF_LIMIT) -> str:
        """Return how ``head`` differs from ``base`` as a unified diff with renames, cut after ``limit`` bytes."""
        limits = Limits(output=limit)
        answer = self.git.run("diff-tree", *PLAIN, "-p", "-M", *self._commits(base, head), limits=limits)
        text = answer.output.decode("utf-8", "replace")
        return f"{text}\n[the diff goes on; {limit} bytes are shown]\n" if answer.truncated else text

    def changed_files(self, base: str, head: str) -> list[FileChange]:
        """Return what ``head`` changes against ``base``, by path; a rename is one change."""
        answer = self.git.run("diff-tree", *PLAIN, "-z", "-M", "--raw", "--numstat", *self._commits(base, head))
        return diff.file_changes(answer.output)

    def entries(self, base: str, head: str) -> list[TreeEntry]:
        """Return the names whose content, mode or type differ, renames as two. Also compares bare trees."""
        answer = self.git.run("diff-tree", *PLAIN, "-z", "--no-renames", *self._commits(base, head))
        return diff.entries(answer.output)

    def file(self, sha: str, path: str, limit: int = FILE_LIMIT) -> bytes:
        """Return the first ``limit`` bytes of a file in a commit. Raises NotFound."""
        spec = f"{checked(sha)}:{path}"
        answer = self.git.run("cat-file", "blob", spec, accept=(0, 1, 128), limits=Limits(output=limit))
        if answer.exit_code and not answer.truncated:
            raise NotFound(f"There is no file {path} in {sha[:12]}.")
        return answer.output

    def files(self, sha: str) -> list[str]:
        """Return the paths of all files in a commit, sorted."""
        answer = self.git.run("ls-tree", "-r", "-z", "--name-only", checked(sha))
        return answer.output.decode("utf-8", "replace").split("\0")[:-1]

    def blobs(self, sha: str) -> list[Blob]:
        """Return all files of a commit with their sizes, sorted by path; neither symlinks nor submodules."""
        answer = self.git.run("ls-tree", "-r", "-l", "-z", checked(sha))
        rows = answer.output.decode("utf-8", "replace").split("\0")[:-1]
        split = (row.partition("\t")[::2] for row in rows)
        heads = ((head.split(), path) for head, path in split)
        return [Blob(path, head[2], int(head[3])) for head, path in heads if head[0] in ("100644", "100755")]

    def texts(self, oids: Sequence[str]) -> dict[str, str]:
        """Return the contents of blobs by their id; those that are missing or binary are left out. One process."""
        asked = "".join(f"{checked(oid)}\n" for oid in oids)
        output = self.git.run("cat-file", "--batch", stdin=asked.encode()).output
        found: dict[str, str] = {}
        while output:
            head, _, output = output.partition(b"\n")
            oid, kind, *size = head.decode("ascii", "replace").split(" ")
            if kind != "blob":
                continue
            data, output = output[: int(size[0])], output[int(size[0]) + 1 :]
            if b"\0" not in data:
                found[oid] = data.decode("utf-8", "replace")
        return found

    def log(self, sha: str, *, base: str = "", limit: int = 50) -> list[Commit]:
        """Return commits from ``sha`` backwards, newest first, without those that ``base`` has."""
        without = [f"^{checked(base)}"] if base else []
        answer = self.git.run(
            "log",
            "-z",
            f"--max-count={limit}",
            "--format=tformat:%H%x00%an%x00%ae%x00%at%x00%B",
            checked(sha),
            *without,
        )
        fields = iter(answer.output.decode("utf-8", "replace").split("\0")[:-1])
        return [_commit(*record) for record in zip(*[fields] * 5, strict=True)]

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the commit where the two histories parted, None when they never met."""
        answer = self.git.run("merge-base", *self._commits(one, other), accept=(0, 1))
        return answer.text or None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether ``new`` contains ``old``."""
        commits = self._commits(old, new)
        return self.git.run("merge-base", "--is-ancestor", *commits, accept=(0, 1)).exit_code == 0

    def merge_tree(self, base_sha: str, head_sha: str) -> MergeTree:
        """Merge two commits without a work tree and without moving anything."""
        answer = self.git.run(
            "merge-tree",
            "--write-tree",
            "-z",
            "--name-only",
            "--no-messages",
            *self._commits(base_sha, head_sha),
            accept=(0, 1),
            limits=LONG,
        )
        tree, *names = answer.output.decode("utf-8", "replace").split("\0")
        return MergeTree(tree, tuple(name for name in names if name))

    def commit_tree(self, tree: str, parents: Sequence[str], message: str, author: Author = MISSION_CONTROL) -> str:
        """Write a commit and return its id. The committer is always Mission Control."""
        args = [part for parent in parents for part in ("-p", checked(parent))]
        env = {"GIT_AUTHOR_NAME": _plain(author.name), "GIT_AUTHOR_EMAIL": _plain(author.email)}
        text = message.strip().replace("\0", "") + "\n"
        return self.git.run("commit-tree", checked(tree), *args, stdin=text.encode(), env=env).text

    def restored(self, tree: str, base: str, paths: Iterable[str]) -> str:
        """Return a tree like ``tree`` in which ``paths`` are as the commit ``base`` has them, or not at all."""
        wanted = set(paths)
        before = [entry for entry in self.entries(tree, base) if entry.path in wanted]
        index = self.git.git_dir / f"index-{uuid.uuid4().hex}"
        env = {"GIT_INDEX_FILE": str(index)}
        lines = "".join(f"{entry.mode} {entry.oid}\t{entry.path}\0" for entry in before)
        try:
            self.git.run("read-tree", checked(tree), env=env)
            self.git.run("update-index", "-z", "--index-info", stdin=lines.encode(), env=env)
            return self.git.run("write-tree", env=env).text
        finally:
            index.unlink(missing_ok=True)

    def _commits(self, *shas: str) -> list[str]:
        for sha in shas:
            checked(sha)
        missing = set(shas) - set(self.known(shas))
        if missing:
            raise NotFound(f"There is no commit {min(missing)}.")
        return list(shas)


def _plain(text: str) -> str:
    """Return ``text`` as a name in a commit can be: one line, no brackets, not empty."""
    return re.sub(r"[\x00-\x1f<>]", " ", text).strip() or MISSION_CONTROL.name


def _commit(sha: str, name: str, email: str, seconds: str, message: str) -> Commit:
    subject, _, body = message.strip().partition("\n")
    at = datetime.fromtimestamp(int(seconds), UTC)
    return Commit(sha, Author(name, email), at, subject, body.strip())
