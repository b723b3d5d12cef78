"""The port to where a project's code lives. Behind it are ``LocalForge`` and ``GitHubForge``.

A forge brings branches, pull requests and merges. Whatever stands behind it fails in one of five ways, and
the workflow's policy hangs on which: it asks a person (NotFound, Forbidden), looks again (Conflict) or waits
(RateLimited, Unavailable).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from mcc.core.errors import DomainError, ProviderError
from projects.models import Project


class ForgeError(Exception):
    """Any of the five below. Each is also of one of the two families."""


class NotFound(ForgeError, DomainError):
    """The repository, branch, commit or file is not there, or is hidden from us."""

    code = "not_found"
    http_status = 404


class Forbidden(ForgeError, DomainError):
    """It is there, and we may not."""

    code = "forbidden"
    http_status = 403


class Conflict(ForgeError, DomainError):
    """The repository is not as the caller thought: look again. ``files`` are those that do not merge."""

    code = "conflict"

    def __init__(self, detail: str, *, files: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.files = tuple(files)


class InTheWay(Conflict):
    """A conflict that looking again does not mend: somebody has to tidy up first. The text says what and where."""


@dataclass(frozen=True)
class Awaited:
    """A check that the forge's rules want, by its name and, where not everybody's counts, the sources that do."""

    name: str
    sources: tuple[str, ...] = ()


class StillChecked(Conflict):
    """The forge's own rules want checks before it merges that are not through yet: ``checks``."""

    def __init__(self, checks: Sequence[Awaited]) -> None:
        super().__init__(f"The forge's rules want these checks first: {', '.join(check.name for check in checks)}.")
        self.checks = tuple(checks)


class RateLimited(ForgeError, ProviderError):
    """Too many requests. Nothing may be asked before ``retry_at``."""

    def __init__(self, detail: str, *, retry_at: datetime) -> None:
        wait_s = max(0.0, (retry_at - datetime.now(UTC)).total_seconds())
        super().__init__(detail, retry_after_s=wait_s)
        self.retry_at = retry_at


class Unavailable(ForgeError, ProviderError):
    """It did not answer, or not as it should."""


class MergeMethod(StrEnum):
    SQUASH = "squash"
    MERGE = "merge"


@dataclass(frozen=True)
class Capabilities:
    """What the workflow may count on."""

    merge_methods: tuple[MergeMethod, ...] = (MergeMethod.SQUASH, MergeMethod.MERGE)
    hosts_pulls: bool = False
    """Pull requests are seen outside MCC, under a URL."""
    reports_checks: bool = False
    """The forge runs checks of its own (CI)."""


@dataclass(frozen=True)
class RepoRef:
    """Which repository. ``id`` is its identity, the rest may change."""

    id: str
    name: str
    url: str
    default_branch: str


@dataclass(frozen=True)
class CloneSpec:
    """Where to fetch from: a path on this machine, or a URL with the environment that opens it.

    ``env`` may hold a token. It goes to host git only, never into a sandbox, a log or an argument list.
    """

    url: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    asked_anew: Callable[[], CloneSpec] | None = field(default=None, repr=False, compare=False)
    """Where it is now, for when nothing is at ``url`` any more, or nobody is let in. Raises ForgeErrors."""


@dataclass(frozen=True)
class PullRef:
    """A pull request outside MCC. ``url`` is empty when only MCC knows it."""

    number: int
    url: str = ""


@dataclass(frozen=True)
class MergeResult:
    """``sha`` is the commit that landed on the base branch."""

    sha: str


class Forge(Protocol):
    """Every method talks to the outside and may raise any ForgeError. Never call one in a transaction."""

    capabilities: Capabilities

    def repository(self) -> RepoRef:
        """Return which repository this is."""

    def ensure_reachable(self) -> None:
        """Return when a project can work with this repository; used before one is created.

        Raises InvalidInput with a sentence for the person and the field it belongs to.
        """

    def fetch_source(self, stop: threading.Event | None = None) -> CloneSpec:
        """Return where ``Mirror`` fetches from, good for at least some minutes.

        Who has to bring a whole repository first gives that up, with Unavailable, once ``stop`` is set.
        """

    def head(self, branch: str) -> str:
        """Return the commit at the tip. Raises NotFound."""

    def push_branch(self, branch: str, sha: str, expected_old: str | None) -> None:
        """Bring ``sha`` from the project's mirror and let ``branch`` point at it.

        ``expected_old`` is the tip that the caller knows, None for a new branch. Harmless when done already.
        Raises Conflict when somebody else moved the branch.
        """

    def delete_branch(self, branch: str) -> None:
        """Remove ``branch``. Harmless when there is none."""

    def open_pull(self, *, number: int, branch: str, base_branch: str, title: str, body: str, draft: bool) -> PullRef:
        """Open a pull request, or find the open one of ``branch``. ``number`` is MCC's own."""

    def update_pull(
        self,
        pull: PullRef,
        *,
        title: str | None = None,
        body: str | None = None,
        draft: bool | None = None,
        closed: bool | None = None,
    ) -> PullRef:
        """Change what is given and leave the rest."""

    def merge(
        self,
        branch_sha: str,
        *,
        base_branch: str,
        expected_base_sha: str,
        message: str,
        method: MergeMethod = MergeMethod.SQUASH,
        pull: PullRef | None = None,
    ) -> MergeResult:
        """Land ``branch_sha`` on ``base_branch``, if both still are what they were.

        ``pull`` is for forges that merge by number. Called again after a crash it returns what landed then.
        Raises Conflict when the base moved on or when files do not merge (``files``), InTheWay when a person
        has to tidy up first, StillChecked while checks that it requires are not through.
        """


Factory = Callable[[Project], Forge]
_factories: dict[str, Factory] = {}


def register(kind: str, factory: Factory) -> None:
    """Bring a kind of forge (``Project.Forge``). Called from ``AppConfig.ready()``."""
    _factories[kind] = factory


def registered() -> frozenset[str]:
    """Return the kinds of forges that this installation has."""
    return frozenset(_factories)


def forge_of(project: Project) -> Forge:
    """Return the forge of ``project``, which need not be saved yet. KeyError: nobody registered its kind."""
    return _factories[project.forge](project)
