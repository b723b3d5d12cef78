"""Pull requests, from opening to merging."""

from githubsync.simulator.bare import GitError
from githubsync.simulator.routing import REPO, Answer, Call, Refusal, invalid, route
from githubsync.simulator.world import Issue, Pull, now

PULL = REPO + "/pulls/{pull_number}"
METHODS = ("merge", "squash")


def _whole(call: Call, issue: Issue) -> dict[str, object]:
    assert issue.pull
    return call.shapes.pull(call.repo, issue, issue.pull, whole=True)


@route("GET", REPO + "/pulls", needs="pull_requests:read")
def listed(call: Call) -> Answer:
    state, head, base = call.query.get("state", "open"), call.query.get("head"), call.query.get("base")
    owner = call.repo.owner.login
    found = [
        issue
        for issue in call.repo.pulls()
        if issue.pull
        and state in ("all", issue.state)
        and (not head or head == f"{owner}:{issue.pull.head_ref}")
        and (not base or base == issue.pull.base_ref)
    ]
    found.sort(key=lambda issue: issue.number, reverse=call.query.get("direction", "desc") != "asc")
    return call.listing(found, lambda issue: call.shapes.pull(call.repo, issue, issue.pull))


@route("POST", REPO + "/pulls", needs="pull_requests:write", role="read")
def create(call: Call) -> Answer:
    repo, world = call.repo, call.world
    title = call.text("title", "PullRequest")
    head_ref, base_ref = call.text("head", "PullRequest").rpartition(":")[2], call.text("base", "PullRequest")
    heads = repo.bare.heads()
    for field, ref in (("head", head_ref), ("base", base_ref)):
        if ref not in heads:
            raise invalid("PullRequest", field=field, code="invalid")
    head, base = heads[head_ref], heads[base_ref]
    if any(
        p.state == "open" and p.pull and (p.pull.head_ref, p.pull.base_ref) == (head_ref, base_ref)
        for p in repo.pulls()
    ):
        where = f"{repo.owner.login}:{head_ref}"
        raise invalid("PullRequest", message=f"A pull request already exists for {where}.")
    if repo.bare.is_ancestor(head, base):
        raise invalid("PullRequest", message=f"No commits between {base_ref} and {head_ref}")
    pull = Pull(world.next_id(), head_ref, head, base_ref, base, bool(call.body.get("draft")))
    issue = Issue(world.next_id(), world.next_number(repo), call.account, title, call.body.get("body"), pull=pull)
    repo.issues[issue.number] = issue
    repo.bare.point(f"refs/pull/{issue.number}/head", head)
    call.tell_of(issue, "opened")
    return Answer(201, _whole(call, issue))


@route("GET", PULL, needs="pull_requests:read")
def get(call: Call, pull_number: str) -> Answer:
    return Answer(200, _whole(call, call.pull(pull_number)))


@route("PATCH", PULL, needs="pull_requests:write")
def update(call: Call, pull_number: str) -> Answer:
    issue, body = call.pull(pull_number), call.body
    assert issue.pull
    if body.get("state") == "open" and (issue.pull.merged_at or issue.pull.head_ref not in call.repo.bare.heads()):
        raise invalid("PullRequest", field="state", message="state cannot be changed.")
    base_ref = body.get("base", issue.pull.base_ref)
    if base_ref not in call.repo.bare.heads():
        raise invalid("PullRequest", field="base", code="invalid")
    call.edit(issue)
    if base_ref != issue.pull.base_ref:
        _turn(call, issue, issue.pull, base_ref)
    return Answer(200, _whole(call, issue))


def _turn(call: Call, issue: Issue, pull: Pull, base_ref: str) -> None:
    """Let it be merged into another branch from now on."""
    changes = {"base": {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}}
    pull.base_ref, pull.base_sha = base_ref, call.repo.bare.heads()[base_ref]
    call.tell_of(issue, "edited", changes=changes)


@route("GET", PULL + "/files", needs="pull_requests:read")
def files(call: Call, pull_number: str) -> Answer:
    pull = call.pull(pull_number).pull
    assert pull
    bare = call.repo.bare
    base = bare.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    return call.listing(bare.files(base, pull.head_sha), lambda f: call.shapes.file(call.repo, pull.head_sha, f))


@route("GET", PULL + "/commits", needs="pull_requests:read")
def commits(call: Call, pull_number: str) -> Answer:
    pull = call.pull(pull_number).pull
    assert pull
    shas = call.repo.bare.log(f"{pull.base_sha}..{pull.head_sha}")
    return call.listing(list(reversed(shas)), lambda sha: call.shapes.commit(call.repo, sha))


@route("PUT", PULL + "/merge", needs="contents:write")
def merge(call: Call, pull_number: str) -> Answer:
    issue, repo = call.pull(pull_number), call.repo
    pull, method = issue.pull, call.body.get("merge_method", "merge")
    assert pull
    if pull.draft:
        raise Refusal(405, "Pull Request is still a draft")
    if issue.state != "open" or method not in METHODS:
        raise Refusal(405, "Pull Request is not mergeable")
    if call.body.get("sha", pull.head_sha) != pull.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    if pull.base_ref == repo.default_branch and (lacking := repo.lacking(pull.head_sha)):
        raise Refusal(405, f'Required status check "{lacking[0]}" is expected.')
    sha = _land(call, issue, pull, method)
    pull.merged_sha, pull.merged_at, pull.merged_by = sha, now(), call.account
    issue.turn("closed")
    issue.touch()
    call.world.follow_refs(repo, call.account)
    call.tell_of(issue, "closed")
    return Answer(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def _land(call: Call, issue: Issue, pull: Pull, method: str) -> str:
    """Commit the merge onto the base branch as it is. Raises Refusal 405, 409."""
    bare = call.repo.bare
    tree = bare.merged_tree(pull.base_sha, pull.head_sha)
    if tree is None:
        raise Refusal(405, "Pull Request is not mergeable")
    usual = f"Merge pull request #{issue.number} from {call.repo.owner.login}/{pull.head_ref}"
    title = call.body.get("commit_title") or (usual if method == "merge" else f"{issue.title} (#{issue.number})")
    message = "\n\n".join(part for part in (title, call.body.get("commit_message", "")) if part)
    parents = [pull.base_sha] if method == "squash" else [pull.base_sha, pull.head_sha]
    login = call.account.login
    sha = bare.commit_tree(tree, parents, message, (login, f"{call.account.id}+{login}@users.noreply.github.com"))
    try:
        bare.point(f"refs/heads/{pull.base_ref}", sha, pull.base_sha)
    except GitError:
        raise Refusal(409, "Base branch was modified. Review and try the merge again.") from None
    return sha
