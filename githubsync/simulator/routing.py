"""Which function answers which request, and what it is given and gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from githubsync.simulator.things import Account, Issue, Mark, Repo, Token, now
from githubsync.simulator.world import World

if TYPE_CHECKING:
    from githubsync.simulator.courier import Courier
    from githubsync.simulator.shapes import Shapes

DOCUMENTATION = "https://docs.github.com/rest"
MOST_PER_PAGE = 100


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An answer that is an error: ``{"message", "documentation_url", "status"}`` and, of 422, ``errors``."""

    def __init__(self, status: int, message: str, *, errors: Sequence[object] = (), **headers: str) -> None:
        super().__init__(message)
        body: dict[str, Any] = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
        if errors:
            body["errors"] = list(errors)
        self.answer = Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def invalid(resource: str, *, field: str = "", code: str = "custom", message: str = "") -> Refusal:
    error = {"resource": resource, "code": code, "field": field, "message": message}
    return Refusal(422, "Validation Failed", errors=[{name: value for name, value in error.items() if value}])


@dataclass
class Call:
    """One request, after its sender is known and may send it."""

    world: World
    shapes: Shapes
    courier: Courier
    token: Token
    body: dict[str, Any]
    query: dict[str, str]
    path: str
    _repo: Repo | None = None

    @property
    def account(self) -> Account:
        return self.token.account

    @property
    def repo(self) -> Repo:
        assert self._repo is not None
        return self._repo

    def tell(self, event: str, action: str | None, **about: Any) -> None:  # noqa: ANN401 (what the event takes)
        """Let hooks tell what the asker did in the repository."""
        self.world.happened(event, action, self.account, self.repo, **about)

    def tell_of(self, issue: Issue, action: str, **about: Any) -> None:  # noqa: ANN401
        """The same of an issue or a pull request."""
        self.tell("pull_request" if issue.pull else "issues", action, issue=issue, **about)

    def edit(self, issue: Issue) -> None:
        """Change title, text and state of an issue or a pull request as the body says."""
        before = {name: getattr(issue, name) for name in ("title", "body")}
        after = {name: self.body.get(name, old) for name, old in before.items()}
        state = self.body.get("state", issue.state)
        turned = state != issue.state
        issue.title, issue.body = after["title"], after["body"]
        if issue.title != before["title"]:
            renamed = (before["title"], issue.title)
            issue.events.append(Mark(self.world.next_id(), "renamed", self.account, rename=renamed))
        if issue.body != before["body"]:
            issue.edited_at, issue.edited_by = now(), self.account
        issue.turn(state, self.account)
        issue.touch()
        if changes := {name: {"from": old or ""} for name, old in before.items() if after[name] != old}:
            self.tell_of(issue, "edited", changes=changes)
        if turned:
            self.tell_of(issue, "closed" if state == "closed" else "reopened")

    def issue(self, number: str) -> Issue:
        found = self.repo.issues.get(int(number))
        if int(number) in self.repo.gone:
            raise _gone(self.shapes, self.repo.gone[int(number)])
        if found is None:
            raise Refusal(404, "Not Found")
        return found

    def pull(self, number: str) -> Issue:
        issue = self.issue(number)
        if issue.pull is None:
            raise Refusal(404, "Not Found")
        return issue

    def commit(self, spec: str, resource: str = "Commit") -> str:
        found = self.repo.bare.commit_at(spec)
        if found is None:
            raise Refusal(422, f"No commit found for SHA: {spec}")
        return found

    def text(self, name: str, resource: str) -> str:
        """Return a field of the body that has to be there. Raises Refusal 422."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(resource, field=name, code="missing_field")
        return value

    def page(self, items: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
        """Return the items of the page that was asked for, and the Link header."""
        size = min(_number(self.query.get("per_page"), 30), MOST_PER_PAGE)
        number, last = _number(self.query.get("page"), 1), max(1, -(-len(items) // size))
        links: dict[str, int] = {}
        if number < last:
            links |= {"next": number + 1, "last": last}
        if number > 1:
            links |= {"prev": number - 1, "first": 1}
        header = ", ".join(
            f'<{self.shapes.page_url(self.path, self.query, to)}>; rel="{rel}"' for rel, to in links.items()
        )
        return list(items[(number - 1) * size : number * size]), {"Link": header} if header else {}

    def listing(self, items: Sequence[Any], shape: Callable[[Any], Any]) -> Answer:
        """Return a page of a list. ``shape`` is applied only to what is on it."""
        chosen, headers = self.page(items)
        return Answer(200, [shape(item) for item in chosen], headers)


def _number(text: str | None, default: int) -> int:
    return max(1, int(text)) if text and text.isdigit() else default


def _gone(shapes: Shapes, to: tuple[Repo, int] | None) -> Refusal:
    if to is None:
        return Refusal(410, "This issue was deleted")
    return redirect(301, f"{shapes.repo_url(to[0])}/issues/{to[1]}")


def redirect(status: int, url: str) -> Refusal:
    """Return a redirect with the body that GitHub gives it."""
    refusal = Refusal(status, "Moved Permanently", Location=url)
    refusal.answer.body["url"] = url
    return refusal


Handler = Callable[..., Answer]


@dataclass(frozen=True)
class Route:
    """``needs`` is a permission and a level (``issues:write``), ``role`` what the account must be in the repository."""

    method: str
    pattern: str
    handler: Handler
    needs: str = ""
    role: str = ""

    @property
    def expression(self) -> re.Pattern[str]:
        return _expression(self.pattern)


routes: list[Route] = []
_expressions: dict[str, re.Pattern[str]] = {}
REPO = "/repos/{owner}/{repo}"


def _part(name: re.Match[str]) -> str:
    """Return what a part of a path may be: numbers for numbers, and slashes only in names of branches."""
    is_number = name[1].endswith(("_number", "_id")) and name[1] != "client_id"
    allowed = r"\d+" if is_number else ".+" if name[1] in ("ref", "basehead") else "[^/]+"
    return f"(?P<{name[1]}>{allowed})"


def _expression(pattern: str) -> re.Pattern[str]:
    if pattern not in _expressions:
        _expressions[pattern] = re.compile(re.sub(r"\{(\w+)\}", _part, pattern))
    return _expressions[pattern]


def route(method: str, pattern: str, *, needs: str = "", role: str = "") -> Callable[[Handler], Handler]:
    """Answer ``method pattern``, written as in GitHub's description, by the decorated function."""

    def register(handler: Handler) -> Handler:
        level = needs.rpartition(":")[2]
        default = ("write" if level == "write" else "read") if needs else ""
        routes.append(Route(method, pattern, handler, needs, role or default))
        return handler

    return register


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the route of a request and the parts of its path."""
    for candidate in routes:
        if candidate.method == method and (match := candidate.expression.fullmatch(path)):
            return candidate, match.groupdict()
    return None
