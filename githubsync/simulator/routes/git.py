"""Branches, refs, commits and what lies between two of them."""

from githubsync.simulator.bare import GitError
from githubsync.simulator.routing import REPO, Answer, Call, Refusal, route
from githubsync.simulator.things import NOTHING


@route("GET", REPO + "/branches", needs="contents:read")
def branches(call: Call) -> Answer:
    url = call.shapes.repo_url(call.repo)
    rows = sorted(call.repo.bare.heads().items())
    return call.listing(
        rows,
        lambda row: {
            "name": row[0],
            "commit": {"sha": row[1], "url": f"{url}/commits/{row[1]}"},
            "protected": False,
        },
    )


@route("GET", REPO + "/branches/{branch}", needs="contents:read")
def branch(call: Call, branch: str) -> Answer:
    repo, url = call.repo, call.shapes.repo_url(call.repo)
    sha = repo.bare.heads().get(branch)
    if sha is None:
        raise Refusal(404, "Branch not found")
    names = repo.required_by_protection if branch == repo.default_branch else []
    level = "non_admins" if names else "off"
    checks = [{"context": name, "app_id": repo.pinned.get(name)} for name in names]
    required = {"enforcement_level": level, "contexts": names, "checks": checks}
    body = {
        "name": branch,
        "commit": call.shapes.commit(repo, sha),
        "_links": {"self": f"{url}/branches/{branch}", "html": f"{call.shapes.web}/{repo.full_name}/tree/{branch}"},
        "protected": bool(names),
        "protection": {"enabled": bool(names), "required_status_checks": required},
        "protection_url": f"{url}/branches/{branch}/protection",
    }
    return Answer(200, body)


@route("GET", REPO + "/rules/branches/{branch}", needs="metadata:read")
def rules(call: Call, branch: str) -> Answer:
    names = call.repo.required_by_rules if branch == call.repo.default_branch else []
    parameters = {
        "required_status_checks": [_wanted(call.repo.pinned, name) for name in names],
        "strict_required_status_checks_policy": False,
    }
    source = {"ruleset_source_type": "Repository", "ruleset_source": call.repo.full_name, "ruleset_id": call.repo.id}
    found = [{"type": "required_status_checks", "parameters": parameters, **source}] if names else []
    return call.listing(found, lambda rule: rule)


def _wanted(pinned: dict[str, int], name: str) -> dict[str, object]:
    return {"context": name} | ({"integration_id": pinned[name]} if name in pinned else {})


@route("GET", REPO + "/git/ref/{ref}", needs="contents:read")
def get_ref(call: Call, ref: str) -> Answer:
    sha = call.repo.bare.ref(f"refs/{ref}")
    if sha is None:
        raise Refusal(404, "Not Found")
    return Answer(200, call.shapes.ref(call.repo, f"refs/{ref}", sha))


@route("POST", REPO + "/git/refs", needs="contents:write")
def create_ref(call: Call) -> Answer:
    name, sha = call.text("ref", "Reference"), call.text("sha", "Reference")
    if not name.startswith("refs/") or name.count("/") < 2:
        raise Refusal(422, "Reference name must start with 'refs' and have at least two slashes.")
    bare = call.repo.bare
    if bare.commit_at(sha) is None:
        raise Refusal(422, "Object does not exist")
    try:
        bare.point(name, sha, NOTHING)
    except GitError:
        raise Refusal(422, "Reference already exists") from None
    call.world.follow_refs(call.repo, call.account)
    return Answer(201, call.shapes.ref(call.repo, name, sha))


@route("PATCH", REPO + "/git/refs/{ref}", needs="contents:write")
def update_ref(call: Call, ref: str) -> Answer:
    bare, name, sha = call.repo.bare, f"refs/{ref}", call.text("sha", "Reference")
    old = bare.ref(name)
    if old is None:
        raise Refusal(422, "Reference does not exist")
    if bare.commit_at(sha) is None:
        raise Refusal(422, "Object does not exist")
    if not call.body.get("force") and not bare.is_ancestor(old, sha):
        raise Refusal(422, "Update is not a fast forward")
    bare.point(name, sha, old)
    call.world.follow_refs(call.repo, call.account)
    return Answer(200, call.shapes.ref(call.repo, name, sha))


@route("DELETE", REPO + "/git/refs/{ref}", needs="contents:write")
def delete_ref(call: Call, ref: str) -> Answer:
    if call.repo.bare.ref(f"refs/{ref}") is None:
        raise Refusal(422, "Reference does not exist")
    if ref == f"heads/{call.repo.default_branch}":
        raise Refusal(422, "Cannot delete the default branch")
    call.repo.bare.drop(f"refs/{ref}")
    call.world.follow_refs(call.repo, call.account)
    return Answer(204)


@route("GET", REPO + "/commits/{ref}", needs="contents:read")
def get_commit(call: Call, ref: str) -> Answer:
    return Answer(200, call.shapes.commit(call.repo, call.commit(ref)))


@route("GET", REPO + "/compare/{basehead}", needs="contents:read")
def compare(call: Call, basehead: str) -> Answer:
    bare, shapes, repo = call.repo.bare, call.shapes, call.repo
    base, head = (bare.commit_at(spec) for spec in basehead.partition("...")[::2])
    shared = bare.merge_base(base, head) if base and head else None
    if not base or not head or not shared:
        raise Refusal(404, "Not Found")
    ahead, behind = bare.count(f"{base}..{head}"), bare.count(f"{head}..{base}")
    status = "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else "identical"
    url, html = f"{shapes.repo_url(repo)}/compare/{basehead}", f"{shapes.web}/{repo.full_name}/compare/{basehead}"
    body = {
        "url": url,
        "html_url": html,
        "permalink_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": shapes.commit(repo, base),
        "merge_base_commit": shapes.commit(repo, shared),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": [shapes.commit(repo, sha) for sha in reversed(bare.log(f"{base}..{head}"))],
        "files": [shapes.file(repo, head, file) for file in bare.files(shared, head)],
    }
    return Answer(200, body)
