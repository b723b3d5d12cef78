"""Examinations of an installation; apps add theirs. ``manage.py doctor`` shows what they find."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What an examination found, and how to mend it in a sentence."""

    level: Level
    text: str
    fix: str = ""


Examination = Callable[[], Finding]

_examinations: dict[str, Examination] = {}


def ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def warn(text: str, fix: str) -> Finding:
    return Finding(Level.WARN, text, fix)


def fail(text: str, fix: str) -> Finding:
    return Finding(Level.FAIL, text, fix)


def check(name: str) -> Callable[[Examination], Examination]:
    """Register an examination: ``f() -> Finding``, made with ``ok``, ``warn`` or ``fail``. It changes nothing."""

    def register(examination: Examination) -> Examination:
        _examinations[name] = examination
        return examination

    return register


def examine() -> Iterator[tuple[str, Finding]]:
    """Yield the findings one by one. An examination that crashes is a finding too, and the others go on."""
    for name, examination in _examinations.items():
        try:
            yield name, examination()
        except Exception as error:
            # Whatever is broken here is what the operator wants to hear about.
            yield name, fail(f"{type(error).__name__}: {error}", "Mend what the message says and look again.")
