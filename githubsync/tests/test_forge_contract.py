"""What every forge does, ``GitHubForge`` does too: the same tests, over real HTTP and real git to the simulator."""

import threading
from dataclasses import dataclass, field

import pytest
from django.db import connections

from githubsync.forge import GitHubForge
from githubsync.tests import factories
from projects.forge import Conflict, MergeMethod, PullRef
from projects.git import Author, Mirror
from projects.tests import test_forge_contract as contract
from projects.tests.test_forge_contract import MESSAGE, Bench

globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


@dataclass
class GitHubBench(Bench):
    """On GitHub a merge needs a pull request; the workflow has opened one by then."""

    pulls: dict[str, PullRef] = field(default_factory=dict)

    def merge(self, sha: str, base: str, method: MergeMethod = MergeMethod.SQUASH) -> str:
        try:
            pull = self.pulls.get(sha) or self._open(sha, base)
            wanted = {"base_branch": "main", "expected_base_sha": base, "message": MESSAGE, "method": method}
            return self.forge.merge(sha, **wanted, pull=pull).sha
        finally:
            if threading.current_thread() is not threading.main_thread():
                connections.close_all()

    def _open(self, sha: str, base: str) -> PullRef | None:
        if sha == base:
            return None
        branch = f"mcc/{sha[:8]}"
        try:
            self.forge.push_branch(branch, sha, None)
        except Conflict:
            assert self.forge.head(branch) == sha
        about = {"base_branch": "main", "title": "A", "body": "B", "draft": True}
        self.pulls[sha] = self.forge.open_pull(number=1, branch=branch, **about)
        return self.pulls[sha]


@pytest.fixture(params=["token", "app"])
def bench(transactional_db, github, request) -> GitHubBench:
    if request.param == "app":
        project = factories.linked_project(github, by=factories.app_connection(github))
        merges = github.simulator.world.account("ours[bot]")
    else:
        project = factories.linked_project(github)
        merges = github.token.account
    squashes_as = Author(merges.login, f"{merges.id}+{merges.login}@users.noreply.github.com")
    return GitHubBench(GitHubForge(project), Mirror(project.pk), github.commit, squashes_as)
