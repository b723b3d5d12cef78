"""Whose word counts on GitHub: people who may write to the repository, and bots that are listed by their ids."""

from typing import Any, Final
from urllib.parse import quote

from django.core.cache import cache

from githubsync.services.effects.look import Look
from projects.forge import NotFound

REMEMBERED_S: Final = 300
MAY_ORDER: Final = ("admin", "write")
"""GitHub says write for whoever maintains, and read for whoever triages."""


def may_order(look: Look, account: Any) -> bool:  # noqa: ANN401 (GitHub's JSON)
    """Whether orders of ``account`` are obeyed. Asks GitHub, once in five minutes for each account. Raises ForgeErrors.

    What the account is to the repository in GitHub's own words on a comment says nothing of what it may do.
    """
    if not account or not isinstance(account.get("id"), int):
        return False
    if account.get("type") != "User":
        return account["id"] in look.repository.trusted_bots
    key = f"github-may-order-{look.repository.pk}-{account['id']}"
    known: bool | None = cache.get(key)
    if known is None:
        known = _asked(look, account)
        cache.set(key, known, REMEMBERED_S)
    return known


def _asked(look: Look, account: dict[str, Any]) -> bool:
    try:
        facts = look.client.get(f"{look.root}/collaborators/{quote(account['login'], safe='')}/permission")
    except NotFound:
        return False
    # A name may have passed to somebody else by now.
    same = bool(facts.get("user")) and facts["user"]["id"] == account["id"]
    return same and facts["permission"] in MAY_ORDER
