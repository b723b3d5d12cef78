"""What there is in the simulator: accounts, tokens, repositories and what is in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from githubsync.simulator.apps import App, Installation
from githubsync.simulator.bare import Bare
from githubsync.simulator.clients import Client
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
    """That an issue was labeled or unlabeled, assigned or unassigned, renamed: an event of its timeline."""

    id: int
    event: str
    actor: Account
    label: str = ""
    assignee: Account | None = None
    rename: tuple[str, str] | None = None
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
    edited_at: datetime | None = None
    edited_by: Account | None = None
    """When its text was last changed, and by whom."""

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

    def comments(self) -> list[tuple[Review, dict[str, Any]]]:
        """Return what stands beside lines, with the review that it came with."""
        return [(review, comment) for review in self.reviews for comment in review.comments]


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
