"""What every effect has at hand."""

from dataclasses import dataclass
from typing import Any

from githubsync.client import Client
from githubsync.models import Repository
from mcc.core.errands import Lease
from projects.models import Project


@dataclass(frozen=True)
class Look:
    """One look at a thing in a repository that a project works with."""

    client: Client
    repository: Repository
    lease: Lease

    @property
    def project(self) -> Project:
        assert self.repository.project is not None
        return self.repository.project

    @property
    def root(self) -> str:
        return f"/repositories/{self.repository.github_id}"


def login(account: Any) -> str:  # noqa: ANN401 (GitHub's JSON)
    """Return what an account is called; one that was deleted is GitHub's ghost."""
    return (account or {}).get("login") or "ghost"
