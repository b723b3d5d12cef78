"""One REST or GraphQL request: who asks, may they, is it too often, which answer, has it changed."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from githubsync.simulator import apps, oauth, routes
from githubsync.simulator.courier import Courier
from githubsync.simulator.routing import Answer, Call, Refusal, Route, find, redirect
from githubsync.simulator.shapes import Shapes
from githubsync.simulator.things import Account, Repo, Token, now
from githubsync.simulator.world import World

PREFIX = "/api/v3"
GRAPHQL = "/api/graphql"
HOUR_S = 3600
VISITOR = "Requires authentication"
VISITING = Account(0, "visitor")


@dataclass
class Hour:
    """What one account has used of its hour."""

    limit: int
    began: float
    used: int = 0

    @property
    def resets_at(self) -> int:
        return int(self.began) + HOUR_S

    def headers(self) -> dict[str, str]:
        left = max(0, self.limit - self.used)
        facts = {"limit": self.limit, "remaining": left, "used": self.used, "reset": self.resets_at, "resource": "core"}
        return {f"X-RateLimit-{name.capitalize()}": str(value) for name, value in facts.items()}


class Api:
    """Answers requests on a world. Its methods hold the world's lock."""

    def __init__(self, world: World, shapes: Shapes, courier: Courier, *, requests_per_hour: int = 5000) -> None:
        self.world = world
        self.shapes = shapes
        self.courier = courier
        self.requests_per_hour = requests_per_hour
        self.hours: dict[int, Hour] = {}

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[Answer, str]:
        """Return the answer to a request, and the pattern of the route that gave it, "" when none did."""
        with self.world.lock:
            parts = urlsplit(target)
            extra: dict[str, str] = {}
            pattern = ""
            try:
                token = self._asker(parts.path, headers.get("authorization", ""))
                if parts.path != f"{PREFIX}/rate_limit":
                    extra = self._count(token, conditional="if-none-match" in headers)
                extra |= _about(token)
                pattern, answer = self._routed(method, parts.path, dict(parse_qsl(parts.query)), token, body)
            except Refusal as refusal:
                answer = refusal.answer
            answer = Answer(answer.status, answer.body, {**extra, **answer.headers})
            return self._conditional(method, answer, headers, token if pattern else None), pattern

    def _asker(self, path: str, header: str) -> Token:
        """Return the token of whoever asks; a manifest's code is proof enough without one. Raises Refusal 401."""
        if path.startswith(f"{PREFIX}/app-manifests/") and not header:
            return Token("", VISITING, {})
        return self.token(header)

    def token(self, header: str) -> Token:
        """Return the token of an Authorization header. Raises Refusal 401."""
        kind, _, value = header.partition(" ")
        if kind.lower() == "basic" and (client := oauth.basic(self.world, header)):
            return Token("", VISITING, {}, client=client)
        if kind.lower() == "bearer" and value.count(".") == 2:
            try:
                app = apps.app_of(self.world, value.strip())
            except apps.BadToken as wrong:
                raise Refusal(401, str(wrong)) from None
            return Token(value, app.account, {}, is_app=True, jwt_of=app)
        token = self.world.tokens.get(value.strip()) if kind.lower() in ("token", "bearer") else None
        if token is None:
            raise Refusal(401, "Bad credentials" if header else VISITOR)
        if token.expires_at is not None and token.expires_at <= now():
            raise Refusal(401, "Bad credentials")
        if token.installation and token.installation.suspended_at:
            raise Refusal(403, "This installation has been suspended")
        return token

    def _count(self, token: Token, *, conditional: bool) -> dict[str, str]:
        """Take one request from the hour of the account. Raises Refusal when it is used up."""
        hour = self.hours.get(token.account.id)
        if hour is None or hour.resets_at <= time.time():
            hour = self.hours[token.account.id] = Hour(self.requests_per_hour, time.time())
        if hour.used >= hour.limit:
            message = f"API rate limit exceeded for user ID {token.account.id}."
            raise Refusal(403, message, **{name.replace("-", "_"): value for name, value in hour.headers().items()})
        hour.used += 1
        return hour.headers()

    def _routed(self, method: str, path: str, query: dict[str, str], token: Token, body: bytes) -> tuple[str, Answer]:
        given = _parsed(body)
        if path == GRAPHQL:
            return "graphql", routes.graphql.answer(
                Call(self.world, self.shapes, self.courier, token, given, query, path)
            )
        path = path.removeprefix(PREFIX)
        if path == "/rate_limit":
            return "/rate_limit", self._rate_limit(token)
        repo, path = self._repository(method, path)
        found = find(method, path)
        if found is None:
            raise Refusal(404, "Not Found")
        route, params = found
        if "{repo}" in route.pattern:
            self._admit(repo, route, token)
            params = {name: value for name, value in params.items() if name not in ("owner", "repo")}
        call = Call(self.world, self.shapes, self.courier, token, given, query, path, repo)
        return route.pattern, route.handler(call, **{name: unquote(value) for name, value in params.items()})

    def _repository(self, method: str, path: str) -> tuple[Repo | None, str]:
        """Return the repository of a path and the path under its present name. Raises Refusal 301, 307, 404."""
        if by_id := re.fullmatch(r"/repositories/(\d+)(/.*)?", path):
            repo = self.world.repos.get(int(by_id[1]))
            if repo is None:
                raise Refusal(404, "Not Found")
            return repo, f"/repos/{repo.full_name}{by_id[2] or ''}"
        if not (by_name := re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", path)):
            return None, path
        repo = self.world.named(by_name[1])
        if repo is None and (moved := self.world.former_names.get(by_name[1].lower())):
            url = f"{self.shapes.api}/repositories/{moved}{by_name[2] or ''}"
            # A client that follows 301 only loses writes without an error: so does the real one.
            raise redirect(301 if method in ("GET", "HEAD") else 307, url)
        return repo, path

    def _admit(self, repo: Repo | None, route: Route, token: Token) -> None:
        """Raises Refusal: 404 for what the asker may not know of, 403 for what they may not do."""
        allowed = token.repositories is None or (repo is not None and repo.id in token.repositories)
        if repo is None or not repo.allows(token.account, "read") or not (allowed or not repo.private):
            raise Refusal(404, "Not Found")
        permission, _, level = route.needs.partition(":")
        if not (allowed and token.grants(permission, level)) and (repo.private or level == "write"):
            who = "integration" if token.is_app else "personal access token"
            accepted = f"{permission}={level}"
            raise Refusal(403, f"Resource not accessible by {who}", X_Accepted_GitHub_Permissions=accepted)
        if not repo.allows(token.account, route.role):
            raise Refusal(403, "Must have push access to repository")
        if repo.archived and level == "write" and permission != "administration":
            raise Refusal(403, "Repository was archived so is read-only.")

    def _rate_limit(self, token: Token) -> Answer:
        hour = self.hours.get(token.account.id) or Hour(self.requests_per_hour, time.time())
        left = max(0, hour.limit - hour.used)
        core = {"limit": hour.limit, "remaining": left, "reset": hour.resets_at, "used": hour.used}
        return Answer(200, {"resources": {"core": core, "search": core}, "rate": core})

    def _conditional(self, method: str, answer: Answer, headers: dict[str, str], token: Token | None) -> Answer:
        """Add the ETag, which belongs to the token, and answer 304 to whoever has it. A 304 costs no request."""
        if method != "GET" or answer.status != 200 or token is None:
            return answer
        text = token.value + json.dumps(answer.body, sort_keys=True)
        etag = f'W/"{hashlib.sha256(text.encode()).hexdigest()}"'
        more = {**answer.headers, "ETag": etag, "Cache-Control": "private, max-age=60, s-maxage=60"}
        if headers.get("if-none-match") != etag:
            return Answer(200, answer.body, more)
        if hour := self.hours.get(token.account.id):
            hour.used -= 1
            more |= hour.headers()
        return Answer(304, None, more)


def _parsed(body: bytes) -> dict[str, Any]:
    """Return the object of a body. Raises Refusal 400. Labels may come as a bare list."""
    if not body:
        return {}
    try:
        data = json.loads(body)
    except ValueError:
        raise Refusal(400, "Problems parsing JSON") from None
    if isinstance(data, list):
        return {"labels": data}
    if not isinstance(data, dict):
        raise Refusal(400, "Body should be a JSON object")
    return data


def _about(token: Token) -> dict[str, str]:
    headers = {"X-GitHub-Media-Type": "github.v3; format=json", "X-GitHub-Enterprise-Version": "3.19.0"}
    if token.scopes is not None:
        headers["X-OAuth-Scopes"] = ", ".join(token.scopes)
    if token.expires_at is not None:
        headers["github-authentication-token-expiration"] = token.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return headers
