"""What the simulator remembers, and what changes in it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from githubsync.simulator.apps import App, Installation
from githubsync.simulator.bare import Bare
from githubsync.simulator.clients import Ledger
from githubsync.simulator.things import NOTHING, Account, Issue, Pull, Repo, Token, now


@dataclass(frozen=True)
class Happening:
    """A change that webhooks tell of, in GitHub's words. ``about`` is what changed and how."""

    event: str
    action: str | None
    sender: Account
    repo: Repo | None
    about: Mapping[str, Any]


class World:
    """Everything there is. Whoever reads or changes it holds ``lock``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, Token] = {}
        self.repos: dict[int, Repo] = {}
        self.former_names: dict[str, int] = {}
        self.apps: dict[int, App] = {}
        self.installations: dict[int, Installation] = {}
        self.manifest_codes: dict[str, App] = {}
        self.oauth = Ledger()
        self.listeners: list[Callable[[Happening], None]] = []
        self.stored: dict[str, bytes] = {}
        """Logs by the end of their addresses."""
        self._ids = count(1001)

    def next_id(self) -> int:
        return next(self._ids)

    def happened(
        self,
        event: str,
        action: str | None,
        sender: Account,
        repo: Repo | None = None,
        **about: Any,  # noqa: ANN401 (what the shapes of the event take)
    ) -> None:
        """Let everybody know who listens."""
        for listener in self.listeners:
            listener(Happening(event, action, sender, repo, about))

    def account(self, login: str, kind: str = "User") -> Account:
        """Return the account ``login``, made at the first call."""
        return self.accounts.setdefault(login, Account(self.next_id(), login, kind))

    def token(self, login: str, **fields: Any) -> Token:  # noqa: ANN401 (the fields of Token)
        """Give out a token of ``login``: with ``scopes`` a classic one, else a fine-grained one."""
        prefix = "ghs_" if fields.get("is_app") else "ghp_" if fields.get("scopes") is not None else "github_pat_"
        given = {"permissions": {}, **fields}
        token = Token(prefix + secrets.token_hex(18), self.account(login), **given)
        self.tokens[token.value] = token
        return token

    def repo(self, full_name: str, *, private: bool = True) -> Repo:
        """Make an empty repository."""
        owner, _, name = full_name.partition("/")
        repo_id = self.next_id()
        bare = Bare.create(self.root / f"{repo_id}.git")
        repo = self.repos[repo_id] = Repo(repo_id, self.account(owner), name, bare, private)
        return repo

    def fork(self, repo: Repo, to: Account) -> Repo:
        """Copy the branches of ``repo`` into a repository of ``to``."""
        fork = self.repo(f"{to.login}/{repo.name}", private=repo.private)
        fork.parent, fork.default_branch = repo, repo.default_branch
        fork.bare.take(repo.bare, "refs/heads/*", "refs/heads/*")
        fork.heads, repo.heads = fork.bare.heads(), repo.bare.heads()
        return fork

    def named(self, full_name: str) -> Repo | None:
        """Return the repository that has this name now, in whatever case."""
        wanted = full_name.lower()
        return next((repo for repo in self.repos.values() if repo.full_name.lower() == wanted), None)

    def rename(self, repo: Repo, name: str, by: Account | None = None) -> None:
        """Rename it; the old name redirects from now on."""
        self.former_names[repo.full_name.lower()] = repo.id
        before, repo.name = repo.name, name
        changes = {"repository": {"name": {"from": before}}}
        self.happened("repository", "renamed", by or repo.owner, repo, changes=changes)

    def archive(self, repo: Repo, archived: bool = True, by: Account | None = None) -> None:
        """Let nothing be written there any more, or again."""
        repo.archived = archived
        self.happened("repository", "archived" if archived else "unarchived", by or repo.owner, repo)

    def transfer(self, repo: Repo, to: Account, by: Account | None = None) -> None:
        """Give it to another account. The old name redirects, and whoever had it may still do everything there."""
        self.former_names[repo.full_name.lower()] = repo.id
        before, repo.owner = repo.owner, to
        repo.collaborators[before.id] = "admin"
        self.happened("repository", "transferred", by or before, repo, former_owner=before)

    def delete(self, repo: Repo, by: Account | None = None) -> None:
        """Let it be gone. Its hooks are told of it, as the last thing."""
        del self.repos[repo.id]
        self.happened("repository", "deleted", by or repo.owner, repo)

    def next_number(self, repo: Repo) -> int:
        return max(repo.issues, default=0) + 1

    def follow_refs(self, repo: Repo, by: Account | None = None) -> None:
        """Let pull requests see where their branches are, after ``by`` (the owner) moved any, and tell of it."""
        repo.pushed_at = now()
        by, heads = by or repo.owner, repo.bare.heads()
        before, repo.heads = repo.heads, heads
        for name in sorted(before.keys() | heads.keys()):
            old, new = before.get(name, NOTHING), heads.get(name, NOTHING)
            if old == NOTHING:
                self.happened("create", None, by, repo, branch=name)
            if old != new:
                self.happened("push", None, by, repo, branch=name, before=old, after=new)
            if new == NOTHING:
                self.happened("delete", None, by, repo, branch=name)
        for into in filter(None, (repo, repo.parent)):
            for issue in into.pulls():
                if issue.state == "open" and issue.pull and (into is repo or issue.pull.fork is repo):
                    self._follow_pull(into, issue, issue.pull, by)

    def _follow_pull(self, repo: Repo, issue: Issue, pull: Pull, by: Account) -> None:
        head, base = (pull.fork or repo).heads.get(pull.head_ref), repo.heads.get(pull.base_ref)
        if head is None or base is None:
            issue.turn("closed")
            self.happened("pull_request", "closed", by, repo, issue=issue)
            return
        before, pull.head_sha = pull.head_sha, head
        moved, pull.base_sha = base != pull.base_sha, base
        if head != before:
            issue.touch()
            self.show_head(repo, issue, pull)
            self.happened("pull_request", "synchronize", by, repo, issue=issue, before=before, after=head)
        if moved and repo.bare.is_ancestor(head, base):
            pull.merged_sha, pull.merged_at, pull.merged_by = base, now(), issue.author
            issue.turn("closed")
            self.happened("pull_request", "closed", by, repo, issue=issue)

    def show_head(self, repo: Repo, issue: Issue, pull: Pull) -> None:
        """Let the repository that a pull request goes into have its commits, also from a fork."""
        where = f"refs/pull/{issue.number}/head"
        if pull.fork:
            repo.bare.take(pull.fork.bare, f"refs/heads/{pull.head_ref}", where)
        else:
            repo.bare.point(where, pull.head_sha)
