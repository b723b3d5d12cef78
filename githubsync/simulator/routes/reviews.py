"""Reviews of pull requests and their inline comments."""

from typing import Any

from githubsync.simulator.routes.pulls import PULL
from githubsync.simulator.routing import REPO, Answer, Call, Refusal, route
from githubsync.simulator.things import Issue, Review

STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


@route("GET", PULL + "/reviews", needs="pull_requests:read")
def listed(call: Call, pull_number: str) -> Answer:
    issue = call.pull(pull_number)
    assert issue.pull
    return call.listing(issue.pull.reviews, lambda review: call.shapes.review(call.repo, issue, review))


@route("POST", PULL + "/reviews", needs="pull_requests:write", role="read")
def create(call: Call, pull_number: str) -> Answer:
    issue = call.pull(pull_number)
    assert issue.pull
    event, body = call.body.get("event", "COMMENT"), call.body.get("body") or ""
    if event not in STATES:
        raise Refusal(422, "Unprocessable Entity", errors=["Variable $event was provided invalid value"])
    if event != "COMMENT" and issue.author is call.account:
        verb = "approve" if event == "APPROVE" else "request changes on"
        raise Refusal(422, "Unprocessable Entity", errors=[f"Can not {verb} your own pull request"])
    if event != "APPROVE" and not body and not call.body.get("comments"):
        raise Refusal(422, "Unprocessable Entity", errors=["Body can't be blank"])
    comments = [{**comment, "id": call.world.next_id()} for comment in call.body.get("comments", [])]
    commit = call.body.get("commit_id", issue.pull.head_sha)
    review = Review(call.world.next_id(), call.account, body, STATES[event], commit, comments)
    issue.pull.reviews.append(review)
    issue.touch()
    call.tell("pull_request_review", "submitted", issue=issue, review=review)
    for comment in comments:
        call.tell("pull_request_review_comment", "created", issue=issue, review=review, comment=comment)
    return Answer(200, call.shapes.review(call.repo, issue, review))


@route("PUT", PULL + "/reviews/{review_id}/dismissals", needs="pull_requests:write", role="write")
def dismiss(call: Call, pull_number: str, review_id: str) -> Answer:
    issue = call.pull(pull_number)
    assert issue.pull
    review = next((each for each in issue.pull.reviews if each.id == int(review_id)), None)
    if review is None:
        raise Refusal(404, "Not Found")
    if review.state not in ("APPROVED", "CHANGES_REQUESTED"):
        raise Refusal(422, "Unprocessable Entity", errors=["Can not dismiss a commented pull request review"])
    call.text("message", "PullRequestReview")
    review.state = "DISMISSED"
    issue.touch()
    call.tell("pull_request_review", "dismissed", issue=issue, review=review)
    return Answer(200, call.shapes.review(call.repo, issue, review))


@route("GET", PULL + "/comments", needs="pull_requests:read")
def comments(call: Call, pull_number: str) -> Answer:
    issue = call.pull(pull_number)
    assert issue.pull
    return call.listing(issue.pull.comments(), lambda pair: call.shapes.review_comment(call.repo, issue, *pair))


@route("POST", PULL + "/comments/{comment_id}/replies", needs="pull_requests:write", role="read")
def reply(call: Call, pull_number: str, comment_id: str) -> Answer:
    """What is said in a thread is a review of its own, which only comments."""
    issue = call.pull(pull_number)
    assert issue.pull
    first = next((each for _, each in issue.pull.comments() if each["id"] == int(comment_id)), None)
    if first is None or "in_reply_to_id" in first:
        raise Refusal(404, "Not Found")
    body = call.text("body", "PullRequestReviewComment")
    place: dict[str, Any] = {name: first[name] for name in ("path", "line") if name in first}
    comment = {**place, "body": body, "id": call.world.next_id(), "in_reply_to_id": first["id"]}
    review = Review(call.world.next_id(), call.account, "", "COMMENTED", issue.pull.head_sha, [comment])
    issue.pull.reviews.append(review)
    issue.touch()
    call.tell("pull_request_review_comment", "created", issue=issue, review=review, comment=comment)
    return Answer(201, call.shapes.review_comment(call.repo, issue, review, comment))


def _find(call: Call, comment_id: str) -> tuple[Issue, Review, dict[str, Any]]:
    for issue in call.repo.pulls():
        for review, comment in issue.pull.comments() if issue.pull else ():
            if comment["id"] == int(comment_id):
                if not (review.author is call.account or call.repo.allows(call.account, "write")):
                    raise Refusal(403, "Must have write access to change comments of others.")
                return issue, review, comment
    raise Refusal(404, "Not Found")


@route("PATCH", REPO + "/pulls/comments/{comment_id}", needs="pull_requests:write", role="read")
def edit(call: Call, comment_id: str) -> Answer:
    issue, review, comment = _find(call, comment_id)
    changes = {"body": {"from": comment["body"]}}
    comment["body"] = call.text("body", "PullRequestReviewComment")
    issue.touch()
    call.tell("pull_request_review_comment", "edited", issue=issue, review=review, comment=comment, changes=changes)
    return Answer(200, call.shapes.review_comment(call.repo, issue, review, comment))


@route("DELETE", REPO + "/pulls/comments/{comment_id}", needs="pull_requests:write", role="read")
def delete(call: Call, comment_id: str) -> Answer:
    issue, review, comment = _find(call, comment_id)
    review.comments.remove(comment)
    issue.touch()
    call.tell("pull_request_review_comment", "deleted", issue=issue, review=review, comment=comment)
    return Answer(204)
