"""What the simulator remembers: accounts, tokens, repositories and what is in them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from githubsync.simulator.apps import App, Installation
from githubsync.simulator.bare import Bare
from githubsync.simulator.clients import Client, Ledger
from githubsync.simulator.hooks import Hook

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
NOTHING = "0" * 40
"""The commit of a branch that is not there."""


def now() -> datetime:
    """Return the time as GitHub tells it: whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Account:
    id: int
    login: str
    kind: str = "User"


@dataclass
class Token:
    """``permissions`` (``{"issues": "write"}``) of a fine-grained token; ``repositories`` None: all of the account."""

    value: str
    account: Account
    permissions: dict[str, str]
    repositories: frozenset[int] | None = None
    scopes: tuple[str, ...] | None = None
    """Of a classic token, which has no permissions of its own."""
    is_app: bool = False
    expires_at: datetime | None = None
    installation: Installation | None = None
    jwt_of: App | None = None
    """No token but an App's own signature, good for asking about itself only."""
    client: Client | None = None
    """No token but the name and secret of whoever was given users' tokens, good for ending them."""

    def grants(self, permission: str, level: str) -> bool:
        """Whether the token itself allows it, whatever its account may do."""
        if self.scopes is not None:
            return permission != "checks" or level == "read"
        has = self.permissions.get(permission, "")
        return has == "write" or has == level


@dataclass
class Label:
    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass
class Comment:
    id: int
    author: Account
    body: str
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    reactions: dict[tuple[str, str], int] = field(default_factory=dict)
    """Their ids by who gave them and what they are."""


@dataclass
class Mark:
    """That an issue was labeled or unlabeled, assigned or unassigned: an event of its timeline."""

    id: int
    event: str
    actor: Account
    label: str = ""
    assignee: Account | None = None
    at: datetime = field(default_factory=now)


@dataclass
class Issue:
    """An issue, or with ``pull`` a pull request: they share their numbers."""

    id: int
    number: int
    author: Account
    title: str
    body: str | None
    labels: list[str] = field(default_factory=list)
    assignees: list[Account] = field(default_factory=list)
    events: list[Mark] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    state: str = "open"
    pull: Pull | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    closed_at: datetime | None = None

    closed_by: Account | None = None

    def relabel(self, names: list[str], by: Account, next_id: Callable[[], int]) -> None:
        """Let it have these labels; the timeline says who put on and took off which."""
        for event, changed in (
            ("unlabeled", set(self.labels) - set(names)),
            ("labeled", set(names) - set(self.labels)),
        ):
            self.events += [Mark(next_id(), event, by, name) for name in sorted(changed)]
        self.labels = list(dict.fromkeys(names))

    def touch(self) -> None:
        self.updated_at = now()

    def turn(self, state: str, by: Account | None = None) -> None:
        """Close or reopen it."""
        if state != self.state:
            self.state = state
            self.closed_at = now() if state == "closed" else None
            self.closed_by = by if state == "closed" else None


@dataclass
class Pull:
    id: int
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool
    merged_sha: str | None = None
    merged_at: datetime | None = None
    merged_by: Account | None = None
    fork: Repo | None = None
    """Where its branch is, when that is another repository."""
    reviews: list[Review] = field(default_factory=list)


@dataclass
class Review:
    id: int
    author: Account
    body: str
    state: str
    commit: str
    comments: list[dict[str, Any]] = field(default_factory=list)
    """``{id, path, line, body}``"""
    at: datetime = field(default_factory=now)


@dataclass
class CheckRun:
    id: int
    app: Account
    name: str
    sha: str
    fields: dict[str, Any] = field(default_factory=dict)
    maker: App | None = None
    """The App, where the token was one's."""
    log: str | None = None
    """Of a job of GitHub Actions."""


@dataclass
class Status:
    id: int
    creator: Account
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    at: datetime = field(default_factory=now)


@dataclass
class Repo:
    id: int
    owner: Account
    name: str
    bare: Bare
    private: bool = True
    archived: bool = False
    parent: Repo | None = field(default=None, repr=False)
    """What it is a fork of."""
    default_branch: str = "main"
    collaborators: dict[int, str] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    issues: dict[int, Issue] = field(default_factory=dict)
    gone: dict[int, tuple[Repo, int] | None] = field(default_factory=dict)
    """Issues that are no longer here: where they were transferred to, None when they were deleted."""
    check_runs: list[CheckRun] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    """Where the branches were when somebody last looked."""
    created_at: datetime = field(default_factory=now)
    pushed_at: datetime = field(default_factory=now)
    required_by_rules: list[str] = field(default_factory=list)
    required_by_protection: list[str] = field(default_factory=list)
    """Checks that its default branch wants before anything is merged into it."""
    pinned: dict[str, int] = field(default_factory=dict)
    """Those of them that only one App may say, and its number."""

    def lacking(self, sha: str) -> list[str]:
        """Return the required checks that did not succeed on ``sha``."""
        good = {each.context for each in self.statuses if each.sha == sha and each.state == "success"}
        for run in self.check_runs:
            by = run.maker.id if run.maker else run.app.id
            if run.sha == sha and run.fields.get("conclusion") == "success" and self.pinned.get(run.name, by) == by:
                good.add(run.name)
        return [name for name in self.required_by_rules + self.required_by_protection if name not in good]

    def suite_of(self, run: CheckRun) -> list[CheckRun]:
        """Return the runs that one App made for one commit, ``run`` among them."""
        return [each for each in self.check_runs if (each.app.id, each.sha) == (run.app.id, run.sha)]

    def conclusion_of(self, suite: list[CheckRun]) -> str | None:
        """Return what a suite came to, None while one of its runs is not over."""
        ends = [run.fields.get("conclusion") for run in suite]
        bad = [end for end in ends if end not in ("success", "neutral", "skipped", None)]
        return None if None in ends else bad[0] if bad else "success"

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def role_of(self, account: Account) -> str:
        if account.id == self.owner.id:
            return "admin"
        return self.collaborators.get(account.id, "none" if self.private else "read")

    def allows(self, account: Account, role: str) -> bool:
        return ROLES.index(self.role_of(account)) >= ROLES.index(role)

    def pulls(self) -> list[Issue]:
        return [issue for issue in self.issues.values() if issue.pull]


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
