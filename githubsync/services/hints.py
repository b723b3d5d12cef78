"""What a delivery of GitHub's hints at: the things whose facts are to be fetched afresh.

Nothing else of a payload is believed, and whoever signs it may still send nonsense: what is not as expected is no hint.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from githubsync.models import Connection
from githubsync.services.payloads import at

LONGEST_REF: Final = 250
LARGEST: Final = 2**63
HEADS: Final = "refs/heads/"
_SHA: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Kind(StrEnum):
    ISSUE = "issue"
    PULL = "pull"
    COMMIT = "commit"
    BRANCH = "branch"
    LABELS = "labels"
    REPOSITORY = "repository"
    CONNECTION = "connection"
    RERUN = "rerun"


WHOLE: Final = (Kind.LABELS, Kind.REPOSITORY)
"""What there is one of in a repository, without a name."""


@dataclass(frozen=True)
class Subject:
    """A thing on GitHub. ``repository`` is GitHub's id of where it is, 0 for a connection.

    ``name`` is the number of an issue or a pull request, the id of a commit, the name of a branch, the GUID of
    the delivery that tells of a click, else "".
    """

    kind: Kind
    repository: int
    name: str = ""


def subjects_of(connection: Connection, event: str, payload: object, guid: str = "") -> list[Subject]:
    """Return what ``payload`` (the parsed JSON of delivery ``guid``) hints at; nothing when it makes no sense."""
    if event in OF_CONNECTION:
        moved = [row for list_ in OF_CONNECTION[event] for row in _rows(payload, list_)]
        seen = dict.fromkeys(_number(row, "id") for row in moved)
        return [Subject(Kind.CONNECTION, 0), *(Subject(Kind.REPOSITORY, number) for number in seen if number)]
    repository, reader = _number(payload, "repository", "id"), READERS.get(event)
    if reader is None or not repository or _text(payload, "action") in NOTHING_NEW.get(event, ()):
        return []
    if event in CLICKED and _text(payload, "action") == "rerequested":
        return [Subject(Kind.RERUN, repository, guid)] if guid else []
    kind, name = reader(payload)
    return [Subject(kind, repository, name)] if name or kind in WHOLE else []


def _issue(payload: object) -> tuple[Kind, str]:
    """A comment on a pull request comes as one on an issue."""
    kind = Kind.PULL if at(payload, "issue", "pull_request") else Kind.ISSUE
    return kind, _numeral(payload, "issue", "number")


def _pull(payload: object) -> tuple[Kind, str]:
    return Kind.PULL, _numeral(payload, "pull_request", "number")


def _push(payload: object) -> tuple[Kind, str]:
    ref = _text(payload, "ref")
    return Kind.BRANCH, ref.removeprefix(HEADS) if ref.startswith(HEADS) else ""


def _branch(payload: object) -> tuple[Kind, str]:
    return Kind.BRANCH, _text(payload, "ref") if _text(payload, "ref_type") == "branch" else ""


def _commit(*path: str) -> Callable[[object], tuple[Kind, str]]:
    def read(payload: object) -> tuple[Kind, str]:
        return Kind.COMMIT, _sha(payload, *path)

    return read


def of_commit(payload: object, event: str) -> str:
    """Return the commit that a check run or a suite is about, "" where none is named."""
    return _sha(payload, event, "head_sha")


def _sha(payload: object, *path: str) -> str:
    sha = _text(payload, *path)
    return sha if _SHA.fullmatch(sha) else ""


def _repository(payload: object) -> tuple[Kind, str]:
    return Kind.REPOSITORY, ""


def _label(payload: object) -> tuple[Kind, str]:
    return Kind.LABELS, ""


READERS: Final = {
    "issues": _issue,
    "issue_comment": _issue,
    "pull_request": _pull,
    "pull_request_review": _pull,
    "pull_request_review_comment": _pull,
    "pull_request_review_thread": _pull,
    "push": _push,
    "create": _branch,
    "delete": _branch,
    "check_run": _commit("check_run", "head_sha"),
    "check_suite": _commit("check_suite", "head_sha"),
    "workflow_run": _commit("workflow_run", "head_sha"),
    "status": _commit("sha"),
    "repository": _repository,
    "label": _label,
    "member": _repository,
}
OF_CONNECTION: Final = {
    "installation": ("repositories",),
    "installation_repositories": ("repositories_added", "repositories_removed"),
    "github_app_authorization": (),
}
NOTHING_NEW: Final = {"issue_comment": ("edited", "deleted")}
"""Only comments as they were made give orders. Our own is edited again and again."""
CLICKED: Final = ("check_run", "check_suite")
"""Where somebody presses "Re-run": a deed and no fact, so each delivery of it counts by itself."""
HEARD: Final = frozenset(READERS) | frozenset(OF_CONNECTION)
"""Events that tell of something that matters here; all others are marked as ignored."""


def _rows(payload: object, name: str) -> list[object]:
    rows = at(payload, name)
    return rows if isinstance(rows, list) else []


def _number(payload: object, *path: str) -> int:
    found = at(payload, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < LARGEST else 0


def _numeral(payload: object, *path: str) -> str:
    return str(_number(payload, *path) or "")


def _text(payload: object, *path: str) -> str:
    found = at(payload, *path)
    return found if isinstance(found, str) and found.isprintable() and len(found) <= LONGEST_REF else ""
