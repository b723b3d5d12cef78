"""What GitHub was told of an issue, remembered so that nothing is said twice, even when an answer was lost."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils.crypto import salted_hmac

from githubsync import access
from githubsync.client import Client
from githubsync.models import Told
from mcc.core.errands import Lease


class Memory:
    """Of one issue, in the hands of the errand that tells."""

    def __init__(self, told: Told, lease: Lease) -> None:
        self.told, self.lease = told, lease
        self._me: int | None = None

    def is_news(self, what: str, text: str) -> bool:
        """Whether ``text`` differs from what was sent last about ``what``."""
        return self.told.digests.get(what) != _digest(text)

    def sent(self, what: str, text: str) -> None:
        """Write down that it was sent. Raises LeaseLost."""
        self.told.digests[what] = _digest(text)
        self._keep()

    def began(self, what: str) -> bool:
        """Write down that ``what`` is being made; return whether an earlier attempt may have. Raises LeaseLost.

        Only then has anybody to look whether it is there already.
        """
        if what in self.told.digests:
            return True
        self.told.digests[what] = ""
        self._keep()
        return False

    def marker(self, what: str) -> str:
        """Return what our words about ``what`` are known by. No other installation of MCC has the same."""
        key = salted_hmac("githubsync.marker", f"{self.told.issue_id}:{what}").hexdigest()[:16]
        return f"<!-- mcc:{key} -->"

    def ours(self, rows: Iterable[dict[str, Any]], mark: str, client: Client) -> dict[str, Any] | None:
        """Return the comment or review that has ``mark`` and is by our own account: anybody can copy a marker."""
        for row in rows:
            if mark in (row["body"] or "") and (row["user"] or {}).get("id") == self._account(client):
                return row
        return None

    def _keep(self) -> None:
        with transaction.atomic():
            self.lease.check()
            self.told.save(update_fields=["digests", "comment_id"])

    def _account(self, client: Client) -> int:
        if self._me is None:
            self._me = access.account_id(client)
        return self._me


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
