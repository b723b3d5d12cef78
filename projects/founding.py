"""The ways to found a project, each with a page of its own: where the repository is decides what is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from mcc.core.models import User


@dataclass(frozen=True)
class Way:
    """``url`` is the name of its page; ``may`` says who gets there."""

    label: str
    url: str
    may: Callable[[User], bool]
    rank: int = 0


_ways: list[Way] = []


def register(way: Way) -> None:
    """Offer a way. Called from ``AppConfig.ready()``."""
    _ways.append(way)


def ways_of(user: User) -> Sequence[Way]:
    """Return the ways that are open to ``user``."""
    return [way for way in sorted(_ways, key=attrgetter("rank")) if way.may(user)]


register(Way("On this machine", "projects:new", attrgetter("is_superuser")))
