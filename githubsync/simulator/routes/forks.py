"""Copies of a repository in the accounts of people who may not write to it, from which they open pull requests."""

from githubsync.simulator.routing import REPO, Answer, Call, Refusal, route


@route("POST", REPO + "/forks", needs="contents:read")
def create(call: Call) -> Answer:
    """Copy it, at once: GitHub takes a moment. Who has a copy already gets that one."""
    world, name = call.world, f"{call.account.login}/{call.repo.name}"
    fork = world.named(name)
    if call.account is call.repo.owner or (fork and fork.parent is not call.repo):
        raise Refusal(403, "Name already exists on this account")
    if fork is None:
        fork = world.fork(call.repo, call.account)
    return Answer(202, call.shapes.repo(fork, call.token, whole=True))
