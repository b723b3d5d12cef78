"""Whose word counts on GitHub: people who may write to the repository, and bots that are listed by their ids."""

from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from django.core.cache import cache

from githubsync.models import Identity, Repository
from githubsync.services.effects.look import Look
from mcc.core.models import User
from projects.forge import NotFound
from projects.models import Project

REMEMBERED_S: Final = 300
MAY_ORDER: Final = ("admin", "write")
"""GitHub says write for whoever maintains, and read for whoever triages."""


def may_order(look: Look, account: Any) -> bool:  # noqa: ANN401 (GitHub's JSON)
    """Whether orders of ``account`` are obeyed. Raises ForgeErrors.

    GitHub is asked each time, but for five minutes after it said no, unless it tells that rights changed (``forget``).
    What the account is to the repository in GitHub's own words on a comment says nothing of what it may do.
    """
    if not account or not isinstance(account.get("id"), int):
        return False
    if account.get("type") != "User":
        return account["id"] in look.repository.trusted_bots
    if _is_shut_out(look, account["id"]):
        return False
    key = f"github-may-not-order-{look.repository.pk}-{account['id']}"
    since = cache.get(_changed(look.repository))
    if (refused := cache.get(key)) and refused == [since]:
        return False
    if not (may := _asked(look, account)):
        cache.set(key, [since], REMEMBERED_S)
    return may


def forget(repository: Repository) -> None:
    """Ask about everybody afresh: who may do what there has changed."""
    cache.set(_changed(repository), uuid4().hex, REMEMBERED_S)


def _changed(repository: Repository) -> str:
    return f"github-rights-changed-{repository.pk}"


def here(look: Look, account: Any) -> User | None:  # noqa: ANN401 (GitHub's JSON)
    """Return who ``account`` is here, if they connected it and decide in the project: then they did what it orders."""
    user = _user(look, account["id"]) if account else None
    if user is None or not user.is_active:
        return None
    return user if Project.objects.maintained_by(user).filter(pk=look.project.pk).exists() else None


def _is_shut_out(look: Look, github_id: int) -> bool:
    """Whether an administrator switched off the account here of whoever this is."""
    user = _user(look, github_id)
    return user is not None and not user.is_active


def _user(look: Look, github_id: int) -> User | None:
    known = Identity.objects.filter(server=look.repository.connection.web_url, github_id=github_id)
    identity = known.select_related("user").first()
    return identity.user if identity else None


def _asked(look: Look, account: dict[str, Any]) -> bool:
    try:
        facts = look.client.get(f"{look.root}/collaborators/{quote(account['login'], safe='')}/permission")
    except NotFound:
        return False
    # A name may have passed to somebody else by now.
    same = bool(facts.get("user")) and facts["user"]["id"] == account["id"]
    return same and facts["permission"] in MAY_ORDER
