"""What REST lacks: a draft made ready for review, and back; when an issue's title and text were last changed; which
threads of a review are resolved, and to resolve one."""

import re
from collections.abc import Iterator
from typing import Any

from githubsync.simulator.routing import Answer, Call
from githubsync.simulator.shapes import node
from githubsync.simulator.shapes.basics import stamp
from githubsync.simulator.things import Account, Issue, Repo

DRAFT_AFTER = {"markPullRequestReadyForReview": False, "convertPullRequestToDraft": True}


def answer(call: Call) -> Answer:
    """Carry out a mutation, or say how the text of an issue came to be, or which threads are resolved.

    GraphQL says 200 to nearly everything and puts what went wrong in ``errors``.
    """
    name = next((name for name in DRAFT_AFTER if re.search(rf"\b{name}\b", str(call.body.get("query", "")))), None)
    variables: dict[str, Any] = call.body.get("variables") or {}
    if re.search(r"\breviewThreads\b", str(call.body.get("query", ""))):
        return _threads(call, variables.get("id"))
    if re.search(r"\bresolveReviewThread\b", str(call.body.get("query", ""))):
        return _resolve(call, (variables.get("input") or {}).get("threadId"))
    if name is None and re.search(r"\blastEditedAt\b", str(call.body.get("query", ""))):
        return _text(call, variables.get("id"))
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


def _text(call: Call, wanted: object) -> Answer:
    for repo in _readable(call):
        for issue in repo.issues.values():
            if issue.pull is None and node("Issue", issue.id) == wanted and call.token.grants("issues", "read"):
                return Answer(200, {"data": {"node": _words(issue)}})
    return _failed("NOT_FOUND", f"Could not resolve to a node with the global id of '{wanted}'")


def _threads(call: Call, wanted: object) -> Answer:
    found = _pull(call, wanted)
    if found is None or not call.token.grants("pull_requests", "read"):
        return _failed("NOT_FOUND", f"Could not resolve to a node with the global id of '{wanted}'")
    _, issue = found
    assert issue.pull
    firsts = [each for _, each in issue.pull.comments() if "in_reply_to_id" not in each]
    nodes = [
        {"isResolved": each.get("resolved", False), "comments": {"nodes": [{"databaseId": each["id"]}]}}
        for each in firsts
    ]
    return Answer(200, {"data": {"node": {"reviewThreads": {"nodes": nodes}}}})


def _resolve(call: Call, wanted: object) -> Answer:
    for repo in _readable(call):
        for issue in repo.pulls():
            for review, comment in issue.pull.comments() if issue.pull else ():
                if node("PullRequestReviewThread", comment["id"]) == wanted:
                    if not (repo.allows(call.account, "write") and call.token.grants("pull_requests", "write")):
                        return _failed("FORBIDDEN", "Resource not accessible by personal access token")
                    comment["resolved"] = True
                    about = {"issue": issue, "review": review, "comment": comment}
                    call.world.happened("pull_request_review_thread", "resolved", call.account, repo, **about)
                    return Answer(200, {"data": {"resolveReviewThread": {"thread": {"isResolved": True}}}})
    return _failed("NOT_FOUND", f"Could not resolve to a node with the global id of '{wanted}'")


def _words(issue: Issue) -> dict[str, Any]:
    renames = [{"createdAt": stamp(row.at), "actor": _actor(row.actor)} for row in issue.events if row.rename]
    return {
        "title": issue.title,
        "body": issue.body or "",
        "lastEditedAt": stamp(issue.edited_at),
        "editor": _actor(issue.edited_by),
        "timelineItems": {"nodes": renames[-1:]},
    }


def _actor(account: Account | None) -> dict[str, Any] | None:
    if account is None:
        return None
    return {"__typename": account.kind, "login": account.login, "databaseId": account.id}


def _readable(call: Call) -> Iterator[Repo]:
    for repo in call.world.repos.values():
        is_meant = call.token.repositories is None or repo.id in call.token.repositories
        if is_meant and repo.allows(call.account, "read"):
            yield repo


def _pull(call: Call, wanted: object) -> tuple[Repo, Issue] | None:
    for repo in _readable(call):
        for issue in repo.pulls():
            if issue.pull and node("PullRequest", issue.pull.id) == wanted:
                return repo, issue
    return None


def _failed(kind: str, message: str) -> Answer:
    return Answer(200, {"data": None, "errors": [{"type": kind, "message": message}]})
