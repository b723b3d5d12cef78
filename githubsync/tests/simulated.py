"""A GitHub for tests, which fails the test when it answers as GitHub would not."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from githubsync.simulator import Repo, Simulator, Token
from githubsync.tests import schema
from projects.tests.repositories import PersonsRepository, atlas, place

__all__ = ["GitHub", "atlas", "github", "place", "simulator"]

USUAL = {"metadata": "read", "contents": "write", "issues": "write", "pull_requests": "write", "statuses": "write"}


@pytest.fixture
def simulator(place) -> Iterator[Simulator]:
    deviations: list[str] = []
    with Simulator(place / "github") as running:
        running.observers.append(lambda exchange: deviations.extend(schema.deviations(exchange)))
        sent: list[tuple[str, dict[str, Any]]] = []
        running.courier.observers.append(lambda *delivery: sent.append(delivery))
        yield running
        # Not while somebody waits for an answer: some of these models take seconds to build.
        deviations += [wrong for delivery in sent for wrong in schema.webhook_deviations(*delivery)]
    if wrong := [*deviations, *map(repr, running.crashes)]:
        pytest.fail("the simulator answered as GitHub would not:\n" + "\n".join(wrong))


@dataclass
class GitHub:
    """The simulator with the repository ada/atlas in it and a token of Ada's."""

    simulator: Simulator
    repo: Repo
    token: Token
    persons: PersonsRepository = field(repr=False)

    def ask(
        self, method: str, path: str, json: Any = None, token: Token | None = None, **how: Any
    ) -> requests.Response:
        """Send a request as ``token``; ``path`` below /api/v3, ``{repo}`` is the repository."""
        url = self.simulator.api_url + path.replace("{repo}", f"/repos/{self.repo.full_name}")
        headers = {"Authorization": f"token {(token or self.token).value}", **how.pop("headers", {})}
        how = {"allow_redirects": False, "timeout": 10, **how}
        return requests.request(method, url, json=json, headers=headers, **how)

    def made(self, path: str, json: Any, token: Token | None = None) -> Any:
        """Create something and return it."""
        answer = self.ask("POST", path, json, token)
        assert answer.ok, answer.text
        return answer.json()

    def make_ready(self, pull: dict[str, Any]) -> None:
        """Let a draft be ready for review, which only GraphQL can."""
        query = "mutation Q($input: X!) { markPullRequestReadyForReview(input: $input) { clientMutationId } }"
        sent = {"query": query, "variables": {"input": {"pullRequestId": pull["node_id"]}}}
        headers = {"Authorization": f"bearer {self.token.value}"}
        requests.post(f"{self.simulator.url}/api/graphql", json=sent, headers=headers, timeout=10).raise_for_status()

    def commit(self, files: dict[str, str], branch: str = "main") -> str:
        """Commit files on ``branch`` as a person does, and push them."""
        self.persons.git("fetch", "-q", str(self.repo.bare.path), "+refs/heads/*:refs/remotes/github/*")
        known = self.persons.git("branch", "-r", "--list", f"github/{branch}")
        self.persons.git("checkout", "-q", "-B", branch, f"github/{branch if known else 'main'}")
        sha = self.persons.commit(files)
        self.persons.git("push", "-q", str(self.repo.bare.path), branch)
        with self.simulator.world.lock:
            self.simulator.world.follow_refs(self.repo)
        return sha

    def pull(self, branch: str = "mcc/one", files: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        """Open a pull request for a new branch."""
        self.commit(files or {"one.txt": "1\n"}, branch)
        return self.made("{repo}/pulls", {"title": "One", "head": branch, "base": "main", **fields})


@pytest.fixture
def github(simulator, atlas) -> GitHub:
    repo = simulator.world.repo("ada/atlas")
    atlas.git("push", "-q", str(repo.bare.path), "main")
    return GitHub(simulator, repo, simulator.world.token("ada", permissions=dict(USUAL)), atlas)
