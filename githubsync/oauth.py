"""GitHub's web flow, seen from here: where a person is sent, what their code is worth, who they are, how a token ends.

https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps

These requests go in as a person or as the client, not as the connection, so they have a transport of their own, and no
limit of the connection counts them. GitHub refuses with status 200 and a word; every failure to answer is Unavailable.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import requests
from django.utils import timezone
from requests.auth import HTTPBasicAuth

from githubsync.bearer import Bearer
from githubsync.models import Connection
from mcc.core import redaction
from mcc.core.encryption import Undecipherable
from mcc.core.errors import DomainError
from projects.forge import Forbidden, NotFound, Unavailable

TIMEOUT_S: Final = 20
SCOPE: Final = "user:email"
"""What an OAuth App asks for. An App's tokens may what the App may, and know no scopes."""
SENTENCES: Final = {
    "access_denied": "You did not let Mission Control know who you are on GitHub.",
    "bad_verification_code": "GitHub does not know this answer any more: it works once, for ten minutes. Try again.",
    "bad_refresh_token": "GitHub wants to be asked by you again.",
    "incorrect_client_credentials": "GitHub does not accept Mission Control's client secret: tell an administrator.",
    "redirect_uri_mismatch": "GitHub does not know this address as a callback: an administrator has to add it there.",
    "application_suspended": "GitHub has suspended the App by which one signs in: tell an administrator.",
}


class Refused(DomainError):
    """GitHub said no, in one word (``word``)."""

    code = "github_refused"
    http_status = 403

    def __init__(self, word: str) -> None:
        super().__init__(SENTENCES.get(word, "GitHub refused, and Mission Control does not know why."))
        self.word = word


@dataclass(frozen=True)
class Grant:
    """A person's token. Without ``expires_at`` it ends when somebody ends it, and there is nothing to refresh it by."""

    token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Account:
    """Who somebody is on GitHub. ``email`` only when GitHub says that it is theirs."""

    github_id: int
    login: str
    name: str = ""
    email: str = ""


@dataclass(frozen=True)
class Flow:
    """One client of one GitHub, as whom Mission Control asks people who they are."""

    connection: Connection
    client_id: str
    client_secret: str = field(repr=False)

    @classmethod
    def of(cls, connection: Connection) -> "Flow":
        """Raises NotFound where nobody may sign in by the connection, Forbidden when its secret cannot be read."""
        way = getattr(connection, "sign_in", None)
        holder = way if way is None or way.client_id else getattr(connection, "app", None)
        if holder is None or not holder.client_id or not connection.active:
            raise NotFound(f"Nobody signs in by {connection}.")
        try:
            return cls(connection, holder.client_id, holder.client_secret.reveal())
        except Undecipherable as error:
            raise Forbidden(f"The client secret of {connection} cannot be decrypted: {error}.") from None

    def address(self, *, redirect: str, state: str, verifier: str) -> str:
        """Return where the person's browser goes. ``state`` and what ``verifier`` is hashed to come along."""
        asked = {"client_id": self.client_id, "redirect_uri": redirect, "state": state, "scope": SCOPE}
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked |= {"code_challenge": digest, "code_challenge_method": "S256", "allow_signup": "false"}
        return f"{self._web}/authorize?{urlencode(asked)}"

    def exchange(self, code: str, *, redirect: str, verifier: str) -> Grant:
        """Return what ``code`` is worth, once. Raises Refused, Unavailable."""
        return self._grant({"code": code, "redirect_uri": redirect, "code_verifier": verifier})

    def refresh(self, refresh_token: str) -> Grant:
        """Return the token that follows. ``refresh_token`` works once. Raises Refused, Unavailable."""
        return self._grant({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def may_write(self, grant: Grant, github_id: int) -> bool | None:
        """Return whether the person may push to a repository, None when they do not see it.

        Raises Refused when GitHub does not know the token any more, Unavailable.
        """
        status, facts = self._ask("GET", f"{self._api}/repositories/{github_id}", auth=Bearer(grant.token))
        if status == 401:
            raise Refused("bad_refresh_token")
        if status == 404:
            return None
        if status != 200 or not isinstance(facts, dict):
            raise Unavailable(f"GitHub answered {status}.")
        return bool((facts.get("permissions") or {}).get("push"))

    def who(self, grant: Grant) -> Account:
        """Return whose token it is. Raises Refused, Forbidden, Unavailable."""
        bearer = Bearer(grant.token)
        status, facts = self._ask("GET", f"{self._api}/user", auth=bearer)
        if status != 200 or not isinstance(facts, dict) or not isinstance(facts.get("id"), int):
            raise Forbidden("GitHub does not say whose token this is.")
        if facts.get("type") != "User":
            raise Forbidden("Only people sign in, and GitHub says that this is none.")
        status, rows = self._ask("GET", f"{self._api}/user/emails", auth=bearer)
        mine = rows if status == 200 and isinstance(rows, list) else []  # an App was not given the right to know
        email = next((row["email"] for row in mine if row.get("primary") and row.get("verified")), "")
        return Account(facts["id"], str(facts["login"])[:100], str(facts.get("name") or "")[:150], str(email)[:254])

    def end(self, grant: Grant) -> None:
        """End the token at GitHub, and what it could be refreshed by. One that is gone is fine. Raises Unavailable."""
        where = f"{self._api}/applications/{self.client_id}/token"
        client = HTTPBasicAuth(self.client_id, self.client_secret)
        status, _ = self._ask("DELETE", where, auth=client, json={"access_token": grant.token})
        if status not in (204, 404, 422):
            raise Unavailable(f"GitHub answered {status} and did not end the token.")

    @property
    def _web(self) -> str:
        return f"{self.connection.web_url}/login/oauth"

    @property
    def _api(self) -> str:
        return self.connection.api_url.rstrip("/")

    def _grant(self, given: dict[str, str]) -> Grant:
        form = {"client_id": self.client_id, "client_secret": self.client_secret, **given}
        status, facts = self._ask("POST", f"{self._web}/access_token", data=form)
        if not isinstance(facts, dict):
            raise Unavailable(f"GitHub answered {status} in a way that Mission Control does not understand.")
        if facts.get("error") or status != 200:
            # GitHub answers 404 to a client that it does not know.
            raise Refused("incorrect_client_credentials" if status == 404 else str(facts.get("error")))
        token, refresh, seconds = facts.get("access_token"), facts.get("refresh_token", ""), facts.get("expires_in")
        if not isinstance(token, str) or not token:
            raise Unavailable("GitHub's answer holds no token.", permanent=True)
        redaction.register(token, str(refresh))
        return Grant(token, str(refresh), timezone.now() + timedelta(seconds=int(seconds)) if seconds else None)

    def _ask(self, method: str, url: str, **how: Any) -> tuple[int, Any]:  # noqa: ANN401 (JSON; the library's options)
        headers = {"Accept": "application/json", "User-Agent": "MissionControlCenter"}
        # Whoever is redirected would send secrets to an address that nobody entered.
        options = {"allow_redirects": False, "auth": Bearer(), "verify": self.connection.certificates, **how}
        try:
            answer = requests.request(method, url, headers=headers, timeout=TIMEOUT_S, **options)
            body = answer.json() if answer.content else None
        except (requests.RequestException, OSError, ValueError) as error:
            raise Unavailable(f"GitHub could not be reached: {type(error).__name__}.") from None
        if answer.status_code >= 500 or 300 <= answer.status_code < 400:
            raise Unavailable(f"GitHub answered {answer.status_code}.")
        return answer.status_code, body
