"""Pull requests, from opening to merging."""

from githubsync.simulator.bare import GitError
from githubsync.simulator.routing import REPO, Answer, Call, Refusal, invalid, route
from githubsync.simulator.things import Issue, Pull, Repo, now

PULL = REPO + "/pulls/{pull_number}"
METHODS = ("merge", "squash", "rebase")


def _home(call: Call, pull: Pull) -> Repo:
    """Return the repository that the branch of a pull request is in."""
    return pull.fork or call.repo


def _fork(call: Call, owner: str) -> Repo | None:
    """Return the fork that a branch of ``owner`` ("" for our own) is in, None for the repository itself."""
    if owner in ("", call.repo.owner.login):
        return None
    forks = [repo for repo in call.world.repos.values() if repo.parent is call.repo and repo.owner.login == owner]
    if not forks:
        raise invalid("PullRequest", field="head", code="invalid")
    return forks[0]


def _whole(call: Call, issue: Issue) -> dict[str, object]:
    assert issue.pull
    return call.shapes.pull(call.repo, issue, issue.pull, whole=True)


@route("GET", REPO + "/pulls", needs="pull_requests:read")
def listed(call: Call) -> Answer:
    state, head, base = call.query.get("state", "open"), call.query.get("head"), call.query.get("base")
    found = [
        issue
        for issue in call.repo.pulls()
        if issue.pull
        and state in ("all", issue.state)
        and (not head or head == f"{_home(call, issue.pull).owner.login}:{issue.pull.head_ref}")
        and (not base or base == issue.pull.base_ref)
    ]
    found.sort(key=lambda issue: issue.number, reverse=call.query.get("direction", "desc") != "asc")
    return call.listing(found, lambda issue: call.shapes.pull(call.repo, issue, issue.pull))


@route("POST", REPO + "/pulls", needs="pull_requests:write", role="read")
def create(call: Call) -> Answer:
    repo, world = call.repo, call.world
    title = call.text("title", "PullRequest")
    owner, _, head_ref = call.text("head", "PullRequest").rpartition(":")
    fork, base_ref = _fork(call, owner), call.text("base", "PullRequest")
    head, base = (fork or repo).bare.heads().get(head_ref), repo.bare.heads().get(base_ref)
    if head is None or base is None:
        raise invalid("PullRequest", field="base" if head else "head", code="invalid")
    asked = (fork, head_ref, base_ref)
    open_ones = [p.pull for p in repo.pulls() if p.state == "open" and p.pull]
    if any((pull.fork, pull.head_ref, pull.base_ref) == asked for pull in open_ones):
        where = f"{(fork or repo).owner.login}:{head_ref}"
        raise invalid("PullRequest", message=f"A pull request already exists for {where}.")
    if repo.bare.is_ancestor(head, base):
        raise invalid("PullRequest", message=f"No commits between {base_ref} and {head_ref}")
    pull = Pull(world.next_id(), head_ref, head, base_ref, base, bool(call.body.get("draft")), fork=fork)
    issue = Issue(world.next_id(), world.next_number(repo), call.account, title, call.body.get("body"), pull=pull)
    repo.issues[issue.number] = issue
    world.show_head(repo, issue, pull)
    call.tell_of(issue, "opened")
    return Answer(201, _whole(call, issue))


@route("GET", PULL, needs="pull_requests:read")
def get(call: Call, pull_number: str) -> Answer:
    return Answer(200, _whole(call, call.pull(pull_number)))


@route("PATCH", PULL, needs="pull_requests:write")
def update(call: Call, pull_number: str) -> Answer:
    issue, body = call.pull(pull_number), call.body
    assert issue.pull
    heads = _home(call, issue.pull).bare.heads()
    if body.get("state") == "open" and (issue.pull.merged_at or issue.pull.head_ref not in heads):
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
    sha = bare.rebased(pull.base_sha, pull.head_sha) if tree and method == "rebase" else None
    if tree is None or (method == "rebase" and sha is None):
        raise Refusal(405, "Pull Request is not mergeable")
    sha = sha or _committed(call, issue, pull, method, tree)
    try:
        bare.point(f"refs/heads/{pull.base_ref}", sha, pull.base_sha)
    except GitError:
        raise Refusal(409, "Base branch was modified. Review and try the merge again.") from None
    return sha


def _committed(call: Call, issue: Issue, pull: Pull, method: str, tree: str) -> str:
    """Make the one commit of a merge or a squash."""
    usual = f"Merge pull request #{issue.number} from {_home(call, pull).owner.login}/{pull.head_ref}"
    title = call.body.get("commit_title") or (usual if method == "merge" else f"{issue.title} (#{issue.number})")
    message = "\n\n".join(part for part in (title, call.body.get("commit_message", "")) if part)
    parents = [pull.base_sha] if method == "squash" else [pull.base_sha, pull.head_sha]
    login = call.account.login
    author = (login, f"{call.account.id}+{login}@users.noreply.github.com")
    return call.repo.bare.commit_tree(tree, parents, message, author)
