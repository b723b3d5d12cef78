"""What an App asks as itself: who am I, where am I installed, a token please."""

from githubsync.simulator import apps
from githubsync.simulator.apps import App, Installation
from githubsync.simulator.routing import REPO, Answer, Call, Refusal, route
from githubsync.simulator.things import now

LEVELS = {"": 0, "read": 1, "write": 2}


def as_app(call: Call) -> App:
    """Return the App that asks. Raises Refusal 401."""
    if call.token.jwt_of is None:
        raise Refusal(401, "A JSON web token could not be decoded")
    return call.token.jwt_of


def _installation(call: Call, installation_id: str) -> Installation:
    found = call.world.installations.get(int(installation_id))
    if found is None or found.app is not as_app(call):
        raise Refusal(404, "Not Found")
    return found


@route("POST", "/app-manifests/{code}/conversions")
def convert(call: Call, code: str) -> Answer:
    app = call.world.manifest_codes.pop(code, None)
    if app is None:
        raise Refusal(404, "Not Found")
    secret: dict[str, str | None] = {"client_secret": app.client_secret, "pem": app.pem}
    secret["webhook_secret"] = app.hook.secret if app.hook.active else None
    return Answer(201, call.shapes.integration(app) | secret)


@route("GET", "/app")
def me(call: Call) -> Answer:
    app = as_app(call)
    count = sum(one.app is app for one in call.world.installations.values())
    return Answer(200, call.shapes.integration(app) | {"installations_count": count})


@route("GET", "/app/installations")
def installations(call: Call) -> Answer:
    app = as_app(call)
    return call.listing([one for one in call.world.installations.values() if one.app is app], call.shapes.installation)


@route("GET", REPO + "/installation", role="read")
def of_repository(call: Call) -> Answer:
    app, repo = as_app(call), call.repo
    for one in call.world.installations.values():
        if one.app is app and apps.sees(one, repo.id, repo.owner):
            return Answer(200, call.shapes.installation(one))
    raise Refusal(404, "Not Found")


@route("DELETE", "/app/installations/{installation_id}")
def uninstall(call: Call, installation_id: str) -> Answer:
    apps.uninstall(call.world, _installation(call, installation_id))
    return Answer(204)


@route("PUT", "/app/installations/{installation_id}/suspended")
def suspend(call: Call, installation_id: str) -> Answer:
    apps.suspend(call.world, _installation(call, installation_id), now())
    return Answer(204)


@route("DELETE", "/app/installations/{installation_id}/suspended")
def unsuspend(call: Call, installation_id: str) -> Answer:
    apps.suspend(call.world, _installation(call, installation_id), None)
    return Answer(204)


@route("POST", "/app/installations/{installation_id}/access_tokens")
def access_token(call: Call, installation_id: str) -> Answer:
    installation = _installation(call, installation_id)
    if installation.suspended_at:
        raise Refusal(403, "This installation has been suspended")
    wanted = call.body.get("repository_ids")
    seen = {repo.id for repo in call.world.repos.values() if apps.sees(installation, repo.id, repo.owner)}
    if wanted is not None and not set(wanted) <= seen:
        raise Refusal(422, "There is at least one repository that does not exist or is not accessible.")
    permissions = call.body.get("permissions") or installation.permissions
    for name, level in permissions.items():
        if LEVELS[level] > LEVELS[installation.permissions.get(name, "")]:
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    granted = {"metadata": "read", **permissions}
    token = call.world.token(
        installation.app.account.login,
        permissions=granted,
        repositories=frozenset(seen if wanted is None else wanted),
        is_app=True,
        installation=installation,
        expires_at=now() + apps.TOKEN_LIFE,
    )
    assert token.expires_at
    body = {
        "token": token.value,
        "expires_at": token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "permissions": granted,
        "repository_selection": "all" if installation.repositories is None and wanted is None else "selected",
    }
    return Answer(201, body)


@route("GET", "/installation/repositories")
def repositories(call: Call) -> Answer:
    if call.token.installation is None:
        raise Refusal(403, "You must authenticate with an installation access token in order to list repositories.")
    listed = call.token.repositories or frozenset()
    chosen, headers = call.page([repo for repo in call.world.repos.values() if repo.id in listed])
    body = {"total_count": len(listed), "repositories": [call.shapes.repo(repo, call.token) for repo in chosen]}
    return Answer(200, body, headers)


@route("GET", "/users/{username}")
def user(call: Call, username: str) -> Answer:
    account = call.world.accounts.get(username)
    if account is None:
        raise Refusal(404, "Not Found")
    return Answer(200, call.shapes.me(account, now()))
