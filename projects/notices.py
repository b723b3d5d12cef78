"""What a project's page says about where its code lives, brought by the floor above that knows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from projects.models import Project


@dataclass(frozen=True)
class Notice:
    """Something that a person ought to decide, with the page where that is done. ``name`` and ``text``: sentences."""

    name: str
    text: str
    verb: str
    url: str


Teller = Callable[[Project], Sequence[Notice]]
_tellers: list[Teller] = []


def register(teller: Teller) -> None:
    """Have ``teller`` asked whenever a project's page is shown. Called from ``AppConfig.ready()``."""
    _tellers.append(teller)


def about(project: Project) -> list[Notice]:
    return [notice for teller in _tellers for notice in teller(project)]
