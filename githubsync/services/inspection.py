"""What a token may do, found out without changing anything, in words that name what is missing.

A classic token says its scopes in a header. A fine-grained one says nothing, so it is tried: GitHub looks at the
permission before it looks at the request, so an empty request to create something is refused either as not allowed
(403, 404) or as incomplete (422). Nothing is ever created.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.utils import timezone

from githubsync.client import Client, Rejected
from githubsync.models import Connection
from githubsync.services import app_inspection
from githubsync.services.findings import WRITE, Finding, Health, Verdict
from projects.forge import Forbidden, ForgeError, NotFound

NO_COMMIT: Final = "0" * 40


@dataclass(frozen=True)
class Permission:
    """What MCC needs and why. ``scope`` is what a classic token calls it, ``probe`` a request below the repository.

    Without a probe there is nothing to try that changes nothing.
    """

    name: str
    level: str
    why: str
    scope: str
    probe: tuple[str, str] | None
    needed: bool = True


PERMISSIONS: Final = (
    Permission("Metadata", "read", "to find repositories", "repo", ("GET", "")),
    Permission("Contents", WRITE, "to clone, to push branches, to merge", "repo", ("POST", "/git/refs")),
    Permission("Pull requests", WRITE, "to open and update them", "repo", ("POST", "/pulls")),
    Permission("Issues", WRITE, "to import them and to close what is done", "repo", ("POST", "/issues")),
    Permission("Commit statuses", WRITE, "to show checks and votes", "repo", ("POST", f"/statuses/{NO_COMMIT}")),
    Permission("Checks", "read", "to see what CI says", "repo", ("GET", "/commits/{branch}/check-runs"), False),
    Permission("Actions", "read", "to read the logs of jobs that failed", "repo", ("GET", "/actions/runs"), False),
    Permission("Workflows", WRITE, "only if agents may change .github/workflows", "workflow", None, False),
    Permission("Webhooks", WRITE, "to hear of changes at once", "admin:repo_hook", ("POST", "/hooks"), False),
)


def check(connection: Connection) -> Health:
    """Test ``connection`` now and remember what was found. Asks GitHub about ten times, so it takes seconds."""
    found = look(connection)
    connection.health, connection.health_at, connection.login = asdict(found), timezone.now(), found.login
    connection.save(update_fields=["health", "health_at", "login"])
    return found


def last(connection: Connection) -> Health | None:
    """Return what the last test found, if there was one and this version understands what it wrote."""
    if not connection.health:
        return None
    known: dict[str, Any] = dict(connection.health)
    try:
        findings = [Finding(**row | {"verdict": Verdict(row["verdict"])}) for row in known.pop("findings")]
        return Health(**known, findings=tuple(findings))
    except (KeyError, TypeError, ValueError):
        return None


def look(connection: Connection) -> Health:
    """Find out what ``connection`` may do. Never raises."""
    if connection.is_app:
        return app_inspection.look(connection)
    facts: dict[str, Any] = {}
    try:
        with Client(connection) as client:
            facts |= _who(client)
            repository = _writable(client)
            if repository is not None:
                facts["tried_on"] = repository["full_name"]
            scopes = client.headers.get("x-oauth-scopes")
            facts["findings"] = tuple(_findings(client, scopes, repository))
    except ForgeError as failure:
        return Health(**facts, problem=str(failure))
    return Health(**facts, problem="" if repository else "The token sees no repository that it may write to.")


def _who(client: Client) -> dict[str, Any]:
    login = client.get("/user")["login"]
    headers = client.headers
    version = headers.get("x-github-enterprise-version", "")
    return {
        "login": login,
        "kind": "classic token" if "x-oauth-scopes" in headers else "fine-grained token",
        "server": f"GitHub Enterprise Server {version}" if version else "GitHub",
        "expires": headers.get("github-authentication-token-expiration", ""),
    }


def _writable(client: Client) -> dict[str, Any] | None:
    """Return a repository to try the permissions on: the one that was pushed to last, of those one may write to."""
    found: list[dict[str, Any]] = client.get("/user/repos", sort="pushed", per_page="100")
    return next((repo for repo in found if repo.get("permissions", {}).get("push") and not repo["archived"]), None)


def _findings(client: Client, scopes: str | None, repository: dict[str, Any] | None) -> Iterator[Finding]:
    held = None if scopes is None else {scope.strip() for scope in scopes.split(",")}
    for permission in PERMISSIONS:
        if held is not None:
            verdict, detail = _by_scope(permission, held)
        elif permission.probe is None:
            verdict, detail = Verdict.UNKNOWN, "Cannot be tried without a change."
        elif repository is None:
            verdict, detail = Verdict.UNKNOWN, "There is no repository to try it on."
        else:
            verdict, detail = _tried(client, permission.probe, repository)
        about = (permission.name, permission.level, permission.why, permission.needed)
        yield Finding(*about, verdict, detail)


def _by_scope(permission: Permission, held: set[str]) -> tuple[Verdict, str]:
    if permission.scope in held:
        return Verdict.YES, f"scope {permission.scope}"
    if permission.scope == "repo" and "public_repo" in held:
        return Verdict.YES, "scope public_repo: public repositories only"
    return Verdict.NO, f"Give the token the scope {permission.scope}."


def _tried(client: Client, probe: tuple[str, str], repository: dict[str, Any]) -> tuple[Verdict, str]:
    method, path = probe[0], probe[1].replace("{branch}", repository["default_branch"])
    where = f"/repositories/{repository['id']}{path}"
    try:
        if method == "GET":
            client.get(where)
        else:
            client.write(method, where, {})
    except Rejected:
        pass  # allowed, and incomplete on purpose; or the repository is empty
    except Forbidden as refusal:
        return Verdict.NO, refusal.detail
    except NotFound:
        return Verdict.NO, "GitHub hides it from this token, or it is switched off in the repository."
    return Verdict.YES, ""
