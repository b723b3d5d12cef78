"""Where a project or an issue is outside this house, brought by the floor above that knows."""

from collections.abc import Callable
from dataclasses import dataclass

from projects.models import Issue, Project


@dataclass(frozen=True)
class Place:
    """``name`` is the text of the link, ``by`` what is said beside it. ``url`` may lead out of the house."""

    name: str
    url: str
    by: str = ""


IssueFinder = Callable[[Issue], Place | None]
ProjectFinder = Callable[[Project], Place | None]
_of_issues: list[IssueFinder] = []
_of_projects: list[ProjectFinder] = []


def register(of_issue: IssueFinder, of_project: ProjectFinder) -> None:
    """Have these asked whenever a page of an issue or a project is shown. Called from ``AppConfig.ready()``."""
    _of_issues.append(of_issue)
    _of_projects.append(of_project)


def of_issue(issue: Issue) -> list[Place]:
    return [place for find in _of_issues if (place := find(issue))]


def of_project(project: Project) -> list[Place]:
    return [place for find in _of_projects if (place := find(project))]
