"""A bare repository of the simulator. Of the product's own git it uses only the door through which git is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from projects.git.host import HostGit, Owner

WHATEVER = tuple(range(256))
"""Exit codes that are for the caller to judge."""


class GitError(Exception):
    """Git said no; the text is what it said."""


@dataclass(frozen=True)
class CommitFacts:
    sha: str
    tree: str
    parents: list[str]
    author: tuple[str, str, str]
    """Name, e-mail, date (ISO 8601)."""
    committer: tuple[str, str, str]
    message: str


@dataclass(frozen=True)
class FileFacts:
    path: str
    status: str
    additions: int
    deletions: int
    oid: str | None
    old_path: str = ""


class Bare:
    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Bare:
        bare = cls(path)
        path.mkdir(parents=True)
        bare.git("init", "-q", "--bare", "--template=", "-b", "main")
        bare.git("config", "http.receivepack", "true")
        return bare

    @property
    def host(self) -> HostGit:
        return HostGit(self.path, Owner.of(self.path), overrides=("safe.directory=*",))

    def git(self, *args: str, stdin: str = "", identity: tuple[str, str] = ("GitHub", "noreply@github.com")) -> str:
        name, email = identity
        who = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email}
        committer = {"GIT_COMMITTER_NAME": "GitHub", "GIT_COMMITTER_EMAIL": "noreply@github.com"}
        done = self.host.run(*args, stdin=stdin.encode(), env={**who, **committer}, accept=WHATEVER)
        if done.exit_code:
            raise GitError(done.error.strip() or done.text)
        return done.text

    def heads(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def ref(self, name: str) -> str | None:
        try:
            return self.git("show-ref", "--verify", "--hash", "--", name)
        except GitError:
            return None

    def point(self, ref: str, sha: str, old: str | None = None) -> None:
        """Let ``ref`` point at ``sha``. Raises GitError, also when it is not at ``old`` (zeros: must not exist)."""
        self.git("update-ref", ref, sha, *([old] if old else []))

    def drop(self, ref: str) -> None:
        self.git("update-ref", "-d", ref)

    def commit_at(self, spec: str) -> str | None:
        """Return the commit that a branch or a commit id names."""
        for candidate in (f"refs/heads/{spec}", spec):
            try:
                return self.git("rev-parse", "--verify", "-q", "--end-of-options", f"{candidate}^{{commit}}")
            except GitError:
                continue
        return None

    def take(self, other: Bare, ref: str, to: str) -> None:
        """Let ``to`` be here what ``ref`` is in ``other``, which lies on this machine, too."""
        overrides = ("safe.directory=*", "protocol.file.allow=always")
        done = HostGit(self.path, Owner.of(self.path), overrides=overrides).run(
            "fetch", "-q", str(other.path), f"+{ref}:{to}", accept=WHATEVER
        )
        if done.exit_code:
            raise GitError(done.error.strip() or done.text)

    def is_ancestor(self, older: str, newer: str) -> bool:
        try:
            self.git("merge-base", "--is-ancestor", older, newer)
        except GitError:
            return False
        return True

    def merge_base(self, one: str, other: str) -> str | None:
        try:
            return self.git("merge-base", one, other)
        except GitError:
            return None

    def count(self, spec: str) -> int:
        return int(self.git("rev-list", "--count", spec))

    def log(self, spec: str, limit: int = 250) -> list[str]:
        return self.git("rev-list", f"--max-count={limit}", spec).splitlines()

    def facts(self, sha: str) -> CommitFacts:
        form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
        fields = self.git("log", "-1", f"--format={form}", sha).split("\0")
        author = (fields[3], fields[4], fields[5])
        committer = (fields[6], fields[7], fields[8])
        return CommitFacts(fields[0], fields[1], fields[2].split(), author, committer, fields[9].strip())

    def files(self, base: str, head: str) -> list[FileFacts]:
        raw = self.git("diff-tree", "-r", "-M", "--raw", "--no-abbrev", base, head).splitlines()
        counted = self.git("diff-tree", "-r", "-M", "--numstat", base, head).splitlines()
        words = {"A": "added", "D": "removed", "R": "renamed", "T": "changed"}
        found = []
        for line, numbers in zip(raw, counted, strict=True):
            meta, *paths = line.split("\t")
            letter, oid = meta.split()[4][0], meta.split()[3]
            added, removed = (int(part) if part.isdigit() else 0 for part in numbers.split("\t")[:2])
            old = paths[0] if len(paths) > 1 else ""
            found.append(FileFacts(paths[-1], words.get(letter, "modified"), added, removed, oid, old))
        return found

    def merged_tree(self, base: str, head: str) -> str | None:
        """Return the tree of the two merged, None when they conflict."""
        try:
            return self.git("merge-tree", "--write-tree", "--no-messages", base, head).splitlines()[0]
        except GitError:
            return None

    def rebased(self, base: str, head: str) -> str | None:
        """Return the last of the commits that ``base`` lacks of ``head``, made anew on it; None: they conflict."""
        tip = base
        for sha in reversed(self.git("rev-list", "--no-merges", f"{base}..{head}").splitlines()):
            facts = self.facts(sha)
            # What the tip has, on the parent of the commit: so the two are merged as if the commit had been made there.
            here = self.commit_tree(self.facts(tip).tree, facts.parents, "", ("GitHub", "noreply@github.com"))
            tree = self.merged_tree(here, sha)
            if tree is None:
                return None
            tip = self.commit_tree(tree, [tip], facts.message, facts.author[:2])
        return tip

    def commit_tree(self, tree: str, parents: list[str], message: str, author: tuple[str, str]) -> str:
        links = [part for parent in parents for part in ("-p", parent)]
        return self.git("commit-tree", tree, *links, stdin=message, identity=author)
