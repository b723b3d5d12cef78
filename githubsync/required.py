"""Which checks GitHub's rules want before it merges into a branch, and which of them are not through for a commit.

A rule may name the App whose check it wants: one of that name by somebody else is another check. Of statuses GitHub
does not say which App they are from, so one counts where that App made no check run.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from githubsync import withheld
from githubsync.client import Client
from githubsync.conclusions import CONCLUSIONS, STATUSES, State
from projects.forge import Awaited, Forbidden, NotFound

MEANING = CONCLUSIONS | STATUSES
STATUS = "status"
"""The source of a commit status."""


@dataclass(frozen=True, order=True)
class Rule:
    """``app`` is GitHub's number of the App that has to say it, 0 for anybody."""

    name: str
    app: int


@dataclass
class _Said:
    """What was said last of a commit, None for what is not through: in statuses, and by which App in check runs."""

    statuses: dict[str, State | None] = field(default_factory=dict)
    runs: dict[str, dict[int, State | None]] = field(default_factory=dict)
    slugs: dict[int, str] = field(default_factory=dict)

    def about(self, rule: Rule) -> set[State | None]:
        runs = self.runs.get(rule.name, {})
        if rule.app and rule.app in runs:
            return {runs[rule.app]}
        statuses = {self.statuses[rule.name]} if rule.name in self.statuses else set()
        return statuses if rule.app else statuses | set(runs.values())


def unfinished(client: Client, root: str, wanted: Sequence[Rule], sha: str) -> list[Awaited]:
    """Return what ``sha`` still lacks of ``wanted``, nothing when one of them is red: waiting does not help then.

    Two requests and more, where anything is wanted. Raises ForgeErrors.
    """
    if not wanted:
        return []
    said = _said(client, root, sha)
    if any(State.RED in said.about(rule) for rule in wanted):
        return []
    lacking = [rule for rule in wanted if said.about(rule) != {State.GREEN}]
    return [awaited(rule, said.slugs) for rule in lacking]


def rules(client: Client, root: str, branch: str) -> list[Rule]:
    """Return which checks are wanted before anything is merged into ``branch``. Two requests. Raises ForgeErrors."""
    return sorted({*_by_rules(client, root, branch), *_by_protection(client, root, branch)})


def awaited(rule: Rule, slugs: Mapping[int, str]) -> Awaited:
    """Return what ``rule`` wants, in the words of ``effects.commits``. ``slugs``: what Apps are called, by number."""
    return Awaited(rule.name, (slugs.get(rule.app, f"App {rule.app}"), STATUS) if rule.app else ())


def _by_rules(client: Client, root: str, branch: str) -> Iterator[Rule]:
    with suppress(NotFound, Forbidden):
        for rule in client.pages(f"{root}/rules/branches/{quote(branch)}"):
            if rule["type"] == "required_status_checks":
                for check in rule["parameters"]["required_status_checks"]:
                    yield Rule(str(check["context"]), _app(check.get("integration_id")))


def _by_protection(client: Client, root: str, branch: str) -> Iterator[Rule]:
    """Give what the older kind of protection wants, of which everybody who reads the branch is told the names."""
    with suppress(NotFound, Forbidden):
        about: dict[str, Any] = client.get(f"{root}/branches/{quote(branch)}")
        wanted = (about.get("protection") or {}).get("required_status_checks") or {}
        pinned = {str(check["context"]): _app(check.get("app_id")) for check in wanted.get("checks") or ()}
        for name in wanted.get("contexts", ()):
            yield Rule(str(name), pinned.get(str(name), 0))


def _app(number: int | None) -> int:
    """GitHub says None or -1 for anybody."""
    return max(number or 0, 0)


def _said(client: Client, root: str, sha: str) -> _Said:
    at, said = f"{root}/commits/{sha}", _Said()
    for row in client.pages(f"{at}/status", inside="statuses"):
        said.statuses[row["context"]] = MEANING.get(row["state"])
    if withheld.check_runs_are(client.connection):
        return said
    try:
        for row in client.pages(f"{at}/check-runs", inside="check_runs"):
            app = row["app"] or {}
            said.runs.setdefault(row["name"], {})[app.get("id", 0)] = MEANING.get(row["conclusion"] or "")
            said.slugs[app.get("id", 0)] = app.get("slug") or ""
    except Forbidden:
        withheld.check_runs(client.connection)
    return said
