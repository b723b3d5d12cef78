"""Who asks, which repositories there are, what may be done in them."""

from githubsync.simulator.routing import REPO, Answer, Call, Refusal, invalid, route
from githubsync.simulator.things import now


@route("GET", "/user")
def me(call: Call) -> Answer:
    if call.token.is_app or call.token.client:
        raise Refusal(403, "Resource not accessible by integration")
    return Answer(200, call.shapes.me(call.account, now()))


@route("GET", "/meta")
def meta(call: Call) -> Answer:
    return Answer(200, {"verifiable_password_authentication": True, "installed_version": "3.19.0"})


@route("GET", "/user/repos")
def my_repositories(call: Call) -> Answer:
    seen = [
        repo
        for repo in call.world.repos.values()
        if (repo.owner is call.account or call.account.id in repo.collaborators)
        and (call.token.repositories is None or repo.id in call.token.repositories)
    ]
    return call.listing(seen, lambda repo: call.shapes.repo(repo, call.token))


@route("GET", REPO, needs="metadata:read")
def repository(call: Call) -> Answer:
    return Answer(200, call.shapes.repo(call.repo, call.token, whole=True))


@route("PATCH", REPO, needs="administration:write", role="admin")
def update(call: Call) -> Answer:
    """Rename it, archive it or take it up again; nothing else."""
    name = str(call.body.get("name") or call.repo.name)
    if name != call.repo.name:
        taken = call.world.named(f"{call.repo.owner.login}/{name}")
        if taken not in (None, call.repo):
            raise invalid("Repository", field="name", message="name already exists on this account")
        call.world.rename(call.repo, name, call.account)
    archived = bool(call.body.get("archived", call.repo.archived))
    if archived != call.repo.archived:
        call.world.archive(call.repo, archived, call.account)
    return Answer(200, call.shapes.repo(call.repo, call.token, whole=True))


@route("POST", REPO + "/transfer", needs="administration:write", role="admin")
def transfer(call: Call) -> Answer:
    to = call.world.accounts.get(call.text("new_owner", "Repository"))
    if to is None or to is call.repo.owner:
        raise invalid("Repository", field="new_owner", message="Invalid new owner")
    call.world.transfer(call.repo, to, call.account)
    return Answer(202, call.shapes.repo(call.repo, call.token))


@route("DELETE", REPO, needs="administration:write", role="admin")
def delete(call: Call) -> Answer:
    call.world.delete(call.repo, call.account)
    return Answer(204)


@route("GET", REPO + "/collaborators/{username}/permission", needs="metadata:read", role="write")
def permission(call: Call, username: str) -> Answer:
    account = call.world.accounts.get(username)
    if account is None:
        raise Refusal(404, "Not Found")
    role = call.repo.role_of(account)
    coarse = {"triage": "read", "maintain": "write"}.get(role, role)
    return Answer(
        200, {"permission": coarse, "role_name": role, "user": call.shapes.user(account) | {"role_name": role}}
    )
