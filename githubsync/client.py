"""Requests to GitHub. The only module that imports PyGithub, of which it uses the transport.

PyGithub's defaults lose writes to renamed repositories, repeat POSTs after errors, mix up answers between threads and
sleep for an hour in a worker. So: one client for each job and never shared, repositories by their numeric id, only GET
retried, limits classified here, and every failure one of the five of ``projects.forge``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from github import Auth, Github, GithubException
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from githubsync.bearer import Bearer
from githubsync.models import Connection
from githubsync.services import limits
from mcc.core import redaction
from mcc.core.encryption import Undecipherable
from projects.forge import Conflict, Forbidden, ForgeError, NotFound, Unavailable

# PyGithub brings a handler of its own, whose formatter would not redact.
logging.getLogger("github").handlers.clear()
logging.getLogger("github").setLevel(logging.WARNING)

API_VERSION = "2022-11-28"
AGENT = "MissionControlCenter"
TIMEOUT_S = 20
PER_PAGE = 100
MOST_PAGES = 50
RETRIED = (500, 502, 503, 504)


class Rejected(Conflict):
    """GitHub understood and said no (405, 409, 422). ``status``, and ``messages`` in its own words."""

    def __init__(self, detail: str, *, status: int, messages: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.status = status
        self.messages = messages

    def says(self, words: str) -> bool:
        return any(words.lower() in message.lower() for message in self.messages)


@dataclass(frozen=True)
class Credential:
    """As whom to go in: by ``token``, as the App ``app_id`` that signs with ``pem``, or as nobody.

    ``refused`` is called when GitHub does not accept the token: where there is one, another one can be had.
    """

    token: str = field(default="", repr=False)
    app_id: int = 0
    pem: str = field(default="", repr=False)
    refused: Callable[[], None] | None = None

    def auth(self) -> Auth.Auth | None:
        if self.app_id:
            redaction.register(signed := Auth.AppAuth(self.app_id, self.pem).create_jwt())
            return Auth.AppAuthToken(signed)
        return Auth.Token(self.token) if self.token else None


class Client:
    """One job's line to GitHub: a context, used by one thread. Answers are GitHub's JSON.

    Every method may raise ForgeErrors. A write that ends in Unavailable may have happened: look before writing again.
    """

    def __init__(self, connection: Connection, credential: Credential | None = None) -> None:
        """Go in by the connection's own token unless told otherwise; ``access`` knows the way to a repository.

        Raises Forbidden when there is no token that can be read.
        """
        self.connection = connection
        self._headers: Mapping[str, str] = {}
        self._credential = credential or own(connection)
        self._github = Github(
            auth=self._credential.auth(),
            base_url=connection.api_url.rstrip("/"),
            lazy=True,
            per_page=PER_PAGE,
            timeout=TIMEOUT_S,
            api_version=API_VERSION,
            user_agent=AGENT,
            verify=connection.certificates,
            pool_size=1,
            seconds_between_requests=None,
            seconds_between_writes=None,
            retry=_retry(),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        limits.note(self.connection, self._headers)
        self._github.close()

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the last answer, in lower case."""
        return self._headers

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 (GitHub's JSON)
        limits.require_open(self.connection)
        return self._ask("GET", path, query, None)

    def get_unless(self, etag: str, path: str, **query: str) -> Any:  # noqa: ANN401 (GitHub's JSON)
        """Return what ``get`` does, None while it is what ``etag`` was given for: that costs nothing of the limit."""
        limits.require_open(self.connection)
        return self._ask("GET", path, query, None, {"If-None-Match": etag} if etag else None)

    def pages(self, path: str, *, inside: str = "", **query: str) -> Iterator[Any]:
        """Give the items of a list (or of the list ``inside`` an object), page after page, 5,000 at most."""
        query = {"per_page": str(PER_PAGE), **query}
        yield from self._from(self.get(path, **query), path, inside)

    def _from(self, answer: Any, path: str, inside: str) -> Iterator[Any]:  # noqa: ANN401 (GitHub's JSON)
        """Give the items of the first page, which is ``answer``, and of those that follow."""
        for number in range(1, MOST_PAGES + 1):
            following = self._following()  # before anybody who gets an item asks for something else
            yield from answer[inside] if inside else answer
            if following is None or number == MOST_PAGES:
                return
            answer = self.get(path, **following)

    def _following(self) -> dict[str, str] | None:
        """Return the query of the page that follows the last answer, None when it was the last one."""
        links = requests.utils.parse_header_links(self._headers.get("link", ""))
        url = next((link["url"] for link in links if link.get("rel") == "next"), None)
        return None if url is None else dict(parse_qsl(urlsplit(url).query))

    def all_unless(self, etag: str, path: str, *, inside: str = "", **query: str) -> tuple[list[Any] | None, str]:
        """Return what ``pages`` gives as a list, None while it is what ``etag`` was given for, and its ETag.

        A list of more than one page has none: the first page need not change when another one does.
        """
        answer = self.get_unless(etag, path, per_page=str(PER_PAGE), **query)
        if answer is None:
            return None, etag
        known = "" if self._following() else self._headers.get("etag", "")[:200]
        return list(self._from(answer, path, inside)), known

    def place(self, path: str) -> str:
        """Return the address that a download redirects to. It is not followed: our token is not for there."""
        limits.require_open(self.connection)
        url = f"{self.connection.api_url.rstrip('/')}{path}"
        try:
            answer = requests.get(
                url,
                headers={"User-Agent": AGENT, "X-GitHub-Api-Version": API_VERSION},
                auth=Bearer(self._credential.token),
                allow_redirects=False,
                timeout=TIMEOUT_S,
                verify=self.connection.certificates,
            )
        except (requests.RequestException, OSError) as error:
            raise Unavailable(f"GitHub could not be reached: {type(error).__name__}.") from None
        self._headers = {name.lower(): value for name, value in answer.headers.items()}
        if answer.status_code in (301, 302, 303, 307, 308) and "location" in self._headers:
            return self._headers["location"]
        if answer.status_code < 300:
            raise Unavailable("GitHub answered a download itself, where it should redirect.", permanent=True)
        body = _parsed(answer.status_code, answer.text)
        raise self._failure(answer.status_code, self._headers, body if isinstance(body, dict) else {})

    def write(self, method: str, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 (GitHub's JSON)
        """Send a write when it is this connection's turn, once. Returns None where GitHub has nothing to say."""
        limits.await_turn(self.connection)
        return self._ask(method, path, {}, body)

    def mutate(self, name: str, **variables: str) -> None:
        """Carry out a GraphQL mutation on ids."""
        kind = name[0].upper() + name[1:] + "Input!"
        query = f"mutation Q($input: {kind}) {{ {name}(input: $input) {{ clientMutationId }} }}"
        body = {"query": query, "variables": {"input": variables}}
        self._ensure_done(self.write("POST", self._github.requester.graphql_url, body))

    def node(self, query: str, node_id: str) -> dict[str, Any]:
        """Return what a GraphQL query on ``$id`` says of its ``node``."""
        limits.require_open(self.connection)
        body = {"query": query, "variables": {"id": node_id}}
        answer = self._ask("POST", self._github.requester.graphql_url, {}, body)
        self._ensure_done(answer)
        found: dict[str, Any] | None = answer["data"]["node"]
        if not found:
            raise NotFound("GitHub knows no such thing, or hides it from this token.")
        return found

    def _ensure_done(self, answer: Any) -> None:  # noqa: ANN401 (GitHub's JSON)
        for error in answer.get("errors") or ():
            kind, words = error.get("type", ""), str(error.get("message", ""))
            if kind == "RATE_LIMITED":
                raise limits.leave_alone(self.connection, self._headers)
            kinds: dict[str, type[ForgeError]] = {"FORBIDDEN": Forbidden, "NOT_FOUND": NotFound}
            raise kinds.get(kind, Conflict)(f"GitHub says: {words}")

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, object] | None,
        extra: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 (GitHub's JSON)
        try:
            status, headers, text = self._github.requester.requestJson(method, path, dict(query), extra, body)
        except (GithubException, requests.RequestException, HTTPError, OSError, ValueError, AssertionError) as error:
            raise Unavailable(f"GitHub could not be reached: {type(error).__name__}.") from error
        except RuntimeError as error:  # a redirect to another host
            raise Unavailable("GitHub redirects to another address: check the connection's.") from error
        self._headers = headers
        if status == 304:
            return None
        data = _parsed(status, text)
        if status >= 300:
            raise self._failure(status, headers, data if isinstance(data, dict) else {})
        return data

    def _failure(self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> ForgeError:
        """Return what a failed answer means."""
        message = str(body.get("message", ""))[:300]
        if limits.is_refusal(status, headers, message):
            return limits.leave_alone(self.connection, headers)
        if status == 401 and self._credential.refused:
            self._credential.refused()
            return Unavailable("GitHub did not accept the App's token: the next one is new.")
        if status == 401:
            return Forbidden(f"GitHub does not accept the token of {self.connection}.")
        if status in (403, 451):
            missing = headers.get("x-accepted-github-permissions", "")
            said = f"GitHub says: {message.rstrip('.')}."
            return Forbidden(said + (f" Missing: {missing}." if missing else ""))
        if status in (404, 410):
            return NotFound("GitHub knows no such thing, or hides it from this token.")
        if status in (405, 409, 422):
            messages = (message, *(_words(error) for error in body.get("errors") or ()))
            return Rejected(f"GitHub says: {' '.join(filter(None, messages))}", status=status, messages=messages)
        if status < 400:
            return Unavailable(f"GitHub redirects ({status}) where MCC does not follow.")
        return Unavailable(f"GitHub answered {status}.", permanent=status == 400)


def own(connection: Connection) -> Credential:
    """Return the personal token of a connection. Raises Forbidden when there is none that can be read."""
    try:
        token = connection.token.reveal()
    except Undecipherable as error:
        raise Forbidden(f"The token of {connection} cannot be decrypted: {error}.") from None
    if not token:
        raise Forbidden(f"{connection} has no token.")
    return Credential(token)


def _retry() -> Retry:
    """Only reads, and not for long: whoever waits longer waits in the queue."""
    return Retry(
        total=2,
        backoff_factor=0.3,
        status_forcelist=RETRIED,
        allowed_methods={"GET"},
        respect_retry_after_header=False,
        raise_on_status=False,
    )


def _parsed(status: int, text: str) -> Any:  # noqa: ANN401 (JSON)
    """Return the JSON of an answer. Raises Unavailable where a good answer is none."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        if status >= 300:
            return {}
        raise Unavailable("GitHub's answer broke off or is not JSON.") from None


def _words(error: object) -> str:
    if not isinstance(error, dict):
        return str(error)[:300]
    return str(error.get("message") or " ".join(str(error.get(part, "")) for part in ("resource", "field", "code")))[
        :300
    ]
