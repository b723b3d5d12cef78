"""Which checks GitHub's rules want before it merges into a branch, and which of them are not through for a commit."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from githubsync.client import Client
from githubsync.conclusions import CONCLUSIONS, STATUSES, State
from projects.forge import Forbidden, NotFound

MEANING = CONCLUSIONS | STATUSES


def unfinished(client: Client, root: str, branch: str, sha: str) -> list[str]:
    """Return the required checks that ``sha`` still lacks, none when one of them is red: waiting does not help then.

    Four requests and more. Raises ForgeErrors.
    """
    wanted = sorted({*_by_rules(client, root, branch), *_by_protection(client, root, branch)})
    if not wanted:
        return []
    said = _said(client, root, sha)
    if State.RED in (said.get(name) for name in wanted):
        return []
    return [name for name in wanted if said.get(name) != State.GREEN]


def _by_rules(client: Client, root: str, branch: str) -> Iterator[str]:
    with suppress(NotFound, Forbidden):
        for rule in client.pages(f"{root}/rules/branches/{quote(branch)}"):
            if rule["type"] == "required_status_checks":
                yield from (str(check["context"]) for check in rule["parameters"]["required_status_checks"])


def _by_protection(client: Client, root: str, branch: str) -> Iterator[str]:
    """Give what the older kind of protection wants, of which everybody who reads the branch is told the names."""
    with suppress(NotFound, Forbidden):
        about: dict[str, Any] = client.get(f"{root}/branches/{quote(branch)}")
        yield from ((about.get("protection") or {}).get("required_status_checks") or {}).get("contexts", ())


def _said(client: Client, root: str, sha: str) -> dict[str, State | None]:
    """Return what was said last by each context or name, None for what is not through."""
    at = f"{root}/commits/{sha}"
    said = {row["context"]: MEANING.get(row["state"]) for row in client.pages(f"{at}/status", inside="statuses")}
    with suppress(Forbidden):
        for row in client.pages(f"{at}/check-runs", inside="check_runs"):
            said[row["name"]] = MEANING.get(row["conclusion"] or "")
    return said
