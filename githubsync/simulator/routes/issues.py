"""Issues, their comments and labels."""

from datetime import datetime
from typing import Any

from githubsync.simulator.routing import REPO, Answer, Call, Refusal, invalid, route
from githubsync.simulator.things import Account, Comment, Issue, Label, Mark, now

ISSUE = REPO + "/issues/{issue_number}"


def _shown(call: Call, issue: Issue) -> dict[str, Any]:
    return call.shapes.issue(call.repo, issue)


def _since(call: Call) -> datetime | None:
    text = call.query.get("since")
    return datetime.fromisoformat(text) if text else None


@route("GET", REPO + "/issues", needs="issues:read")
def listed(call: Call) -> Answer:
    state, since = call.query.get("state", "open"), _since(call)
    labels = {name for name in call.query.get("labels", "").split(",") if name}
    by = "updated_at" if call.query.get("sort") == "updated" else "created_at"
    found = [
        issue
        for issue in call.repo.issues.values()
        if state in ("all", issue.state)
        and labels <= set(issue.labels)
        and (since is None or issue.updated_at >= since)
    ]
    found.sort(key=lambda issue: (getattr(issue, by), issue.number), reverse=call.query.get("direction") != "asc")
    return call.listing(found, lambda issue: _shown(call, issue))


@route("POST", REPO + "/issues", needs="issues:write", role="read")
def create(call: Call) -> Answer:
    title = call.text("title", "Issue")
    world, repo = call.world, call.repo
    issue = Issue(world.next_id(), world.next_number(repo), call.account, title, call.body.get("body"))
    repo.issues[issue.number] = issue
    call.tell_of(issue, "opened")
    if repo.allows(call.account, "triage"):
        _relabel(call, issue, call.body.get("labels", []))
    return Answer(201, _shown(call, issue))


@route("GET", ISSUE, needs="issues:read")
def get(call: Call, issue_number: str) -> Answer:
    return Answer(200, _shown(call, call.issue(issue_number)))


@route("PATCH", ISSUE, needs="issues:write", role="read")
def update(call: Call, issue_number: str) -> Answer:
    """Whoever wrote it may change its words and close it."""
    issue, body = call.issue(issue_number), call.body
    is_own = issue.author is call.account and set(body) <= {"title", "body", "state"}
    if not is_own and not call.repo.allows(call.account, "triage"):
        raise Refusal(403, "Must have admin rights to Repository.")
    if body.get("state") not in (None, "open", "closed"):
        raise invalid("Issue", field="state", code="invalid")
    call.edit(issue)
    if "labels" in body:
        _relabel(call, issue, body["labels"])
    return Answer(200, _shown(call, issue))


def _relabel(call: Call, issue: Issue, names: list[str]) -> None:
    known = [_label(call, name).name for name in names]
    before = len(issue.events)
    issue.relabel(known, call.account, call.world.next_id)
    issue.touch()
    for event in issue.events[before:]:
        call.tell_of(issue, event.event, label=_label(call, event.label))


def _label(call: Call, name: str) -> Label:
    """Return the label, made if missing, as adding one to an issue does."""
    found = next((label for label in call.repo.labels if label.name.lower() == name.lower()), None)
    return found or _new_label(call, Label(call.world.next_id(), name))


def _new_label(call: Call, label: Label) -> Label:
    call.repo.labels.append(label)
    call.tell("label", "created", label=label)
    return label


@route("POST", ISSUE + "/assignees", needs="issues:write", role="triage")
def assign(call: Call, issue_number: str) -> Answer:
    """Who may not write to the repository is left out, without a word."""
    issue = call.issue(issue_number)
    accounts = [call.world.accounts.get(name) for name in call.body.get("assignees", [])]
    may = [account for account in accounts if account and call.repo.allows(account, "triage")]
    for account in may:
        if account not in issue.assignees:
            issue.assignees.append(account)
            _mark(call, issue, "assigned", account)
    return Answer(201, _shown(call, issue))


@route("DELETE", ISSUE + "/assignees", needs="issues:write", role="triage")
def unassign(call: Call, issue_number: str) -> Answer:
    issue = call.issue(issue_number)
    for account in [each for each in issue.assignees if each.login in call.body.get("assignees", [])]:
        issue.assignees.remove(account)
        _mark(call, issue, "unassigned", account)
    return Answer(200, _shown(call, issue))


def _mark(call: Call, issue: Issue, event: str, account: Account) -> None:
    issue.events.append(Mark(call.world.next_id(), event, call.account, assignee=account))
    issue.touch()
    call.tell_of(issue, event, assignee=account)


@route("GET", ISSUE + "/timeline", needs="issues:read")
def timeline(call: Call, issue_number: str) -> Answer:
    return call.listing(call.issue(issue_number).events, lambda event: call.shapes.mark(call.repo, event))


@route("POST", REPO + "/issues/comments/{comment_id}/reactions", needs="issues:write", role="read")
def react(call: Call, comment_id: str) -> Answer:
    _, found = _comment(call, comment_id)
    content = call.text("content", "Reaction")
    is_new = (call.account.login, content) not in found.reactions
    found.reactions.setdefault((call.account.login, content), call.world.next_id())
    number = found.reactions[call.account.login, content]
    return Answer(201 if is_new else 200, call.shapes.reaction(call.account, number, content))


@route("GET", ISSUE + "/comments", needs="issues:read")
def comments(call: Call, issue_number: str) -> Answer:
    issue, since = call.issue(issue_number), _since(call)
    found = [comment for comment in issue.comments if since is None or comment.updated_at >= since]
    return call.listing(found, lambda comment: call.shapes.comment(call.repo, issue, comment))


@route("GET", REPO + "/issues/comments", needs="issues:read")
def all_comments(call: Call) -> Answer:
    since = _since(call)
    pairs = [(issue, comment) for issue in call.repo.issues.values() for comment in issue.comments]
    found = [pair for pair in pairs if since is None or pair[1].updated_at >= since]
    return call.listing(found, lambda pair: call.shapes.comment(call.repo, *pair))


@route("POST", ISSUE + "/comments", needs="issues:write", role="read")
def comment(call: Call, issue_number: str) -> Answer:
    issue = call.issue(issue_number)
    made = Comment(call.world.next_id(), call.account, call.text("body", "IssueComment"))
    issue.comments.append(made)
    issue.touch()
    call.tell("issue_comment", "created", issue=issue, comment=made)
    return Answer(201, call.shapes.comment(call.repo, issue, made))


def _comment(call: Call, comment_id: str) -> tuple[Issue, Comment]:
    for issue in call.repo.issues.values():
        for found in issue.comments:
            if str(found.id) == comment_id:
                return issue, found
    raise Refusal(404, "Not Found")


@route("GET", REPO + "/issues/comments/{comment_id}", needs="issues:read")
def one_comment(call: Call, comment_id: str) -> Answer:
    return Answer(200, call.shapes.comment(call.repo, *_comment(call, comment_id)))


@route("PATCH", REPO + "/issues/comments/{comment_id}", needs="issues:write", role="read")
def edit_comment(call: Call, comment_id: str) -> Answer:
    issue, found = _comment(call, comment_id)
    if found.author is not call.account and not call.repo.allows(call.account, "write"):
        raise Refusal(403, "Must have admin rights to Repository.")
    before, found.body, found.updated_at = found.body, call.text("body", "IssueComment"), now()
    issue.touch()
    call.tell("issue_comment", "edited", issue=issue, comment=found, changes={"body": {"from": before}})
    return Answer(200, call.shapes.comment(call.repo, issue, found))


@route("DELETE", REPO + "/issues/comments/{comment_id}", needs="issues:write")
def delete_comment(call: Call, comment_id: str) -> Answer:
    issue, found = _comment(call, comment_id)
    issue.comments.remove(found)
    issue.touch()
    call.tell("issue_comment", "deleted", issue=issue, comment=found)
    return Answer(204)


@route("POST", ISSUE + "/labels", needs="issues:write", role="triage")
def add_labels(call: Call, issue_number: str) -> Answer:
    issue = call.issue(issue_number)
    _relabel(call, issue, [*issue.labels, *call.body.get("labels", [])])
    return Answer(200, call.shapes.labels_of(call.repo, issue))


@route("DELETE", ISSUE + "/labels/{name}", needs="issues:write", role="triage")
def remove_label(call: Call, issue_number: str, name: str) -> Answer:
    issue = call.issue(issue_number)
    if name not in issue.labels:
        raise Refusal(404, "Label does not exist")
    _relabel(call, issue, [label for label in issue.labels if label != name])
    return Answer(200, call.shapes.labels_of(call.repo, issue))


@route("GET", REPO + "/labels", needs="issues:read")
def labels(call: Call) -> Answer:
    return call.listing(call.repo.labels, lambda label: call.shapes.label(call.repo, label))


@route("PATCH", REPO + "/labels/{name}", needs="issues:write", role="write")
def rename_label(call: Call, name: str) -> Answer:
    """Call it otherwise, here and on all issues that have it; nothing else."""
    label = next((each for each in call.repo.labels if each.name.lower() == name.lower()), None)
    if label is None:
        raise Refusal(404, "Not Found")
    before, label.name = label.name, str(call.body.get("new_name") or label.name)
    for issue in call.repo.issues.values():
        issue.labels = [label.name if each == before else each for each in issue.labels]
    call.tell("label", "edited", label=label, changes={"name": {"from": before}})
    return Answer(200, call.shapes.label(call.repo, label))


@route("POST", REPO + "/labels", needs="issues:write", role="write")
def create_label(call: Call) -> Answer:
    name, repo = call.text("name", "Label"), call.repo
    if any(label.name.lower() == name.lower() for label in repo.labels):
        raise invalid("Label", field="name", code="already_exists")
    label = Label(call.world.next_id(), name, call.body.get("color", "ededed"), call.body.get("description"))
    _new_label(call, label)
    return Answer(201, call.shapes.label(repo, label))
