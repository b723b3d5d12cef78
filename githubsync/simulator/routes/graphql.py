"""The two mutations that REST lacks: a draft made ready for review, and back."""

import re
from typing import Any

from githubsync.simulator.routing import Answer, Call
from githubsync.simulator.shapes import node
from githubsync.simulator.things import Issue, Repo

DRAFT_AFTER = {"markPullRequestReadyForReview": False, "convertPullRequestToDraft": True}


def answer(call: Call) -> Answer:
    """Carry out a mutation. GraphQL says 200 to nearly everything and puts what went wrong in ``errors``."""
    name = next((name for name in DRAFT_AFTER if re.search(rf"\b{name}\b", str(call.body.get("query", "")))), None)
    variables: dict[str, Any] = call.body.get("variables") or {}
    if name is None:
        return _failed("UNDEFINED_FIELD", "The simulator knows " + " and ".join(DRAFT_AFTER))
    wanted = (variables.get("input") or {}).get("pullRequestId")
    found = _pull(call, wanted)
    if found is None:
        return _failed("NOT_FOUND", f"Could not resolve to a node with the global id of '{wanted}'")
    repo, issue = found
    assert issue.pull
    if not (call.token.grants("pull_requests", "write") and repo.allows(call.account, "write")):
        return _failed("FORBIDDEN", "Resource not accessible by personal access token")
    if issue.state != "open":
        return _failed("UNPROCESSABLE", "Pull request is closed")
    issue.pull.draft = DRAFT_AFTER[name]
    issue.touch()
    action = "converted_to_draft" if issue.pull.draft else "ready_for_review"
    call.world.happened("pull_request", action, call.account, repo, issue=issue)
    return Answer(200, {"data": {name: {"clientMutationId": None, "pullRequest": {"isDraft": issue.pull.draft}}}})


def _pull(call: Call, wanted: object) -> tuple[Repo, Issue] | None:
    for repo in call.world.repos.values():
        if call.token.repositories is not None and repo.id not in call.token.repositories:
            continue
        for issue in repo.pulls():
            if issue.pull and node("PullRequest", issue.pull.id) == wanted and repo.allows(call.account, "read"):
                return repo, issue
    return None


def _failed(kind: str, message: str) -> Answer:
    return Answer(200, {"data": None, "errors": [{"type": kind, "message": message}]})
