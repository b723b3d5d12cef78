"""Which images commands may run in: the operator's for all, and those on offer from which a project may choose.

By name only, letter by letter: what an image holds, anybody may read who works in it, so one that merely lies on the
daemon is not on offer.
"""

import re
from fnmatch import fnmatchcase

from django.conf import settings

NAME = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")


def refusal(name: str) -> str:
    """Return why a project may not have its commands run in the image ``name``, to be said after it; "": it may."""
    if not NAME.fullmatch(name):
        return "is no name of an image, as in python:3.12-bookworm"
    if name == settings.MCC_SANDBOX_IMAGE or any(fnmatchcase(name, offered) for offered in on_offer()):
        return ""
    return f"is not on offer here: {offer()}"


def on_offer() -> list[str]:
    """Return names, or patterns of them as in ``python:*``."""
    return list(settings.MCC_SANDBOX_OPTIONAL_IMAGES)


def offer() -> str:
    """Return in words what a project may choose from."""
    if not on_offer():
        return "the operator offers none (MCC_SANDBOX_OPTIONAL_IMAGES)"
    return f"the operator offers {', '.join(on_offer())}"
