"""The web flow of OAuth as GitHub speaks it: a page that asks the person, codes that work once, tokens, refresh tokens.

https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps

Refusals of ``access_token`` come with status 200, as GitHub's do, form-encoded unless JSON is asked for. Whoever comes
to the page says there who they are: any account that the simulator knows.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from githubsync.simulator import apps
from githubsync.simulator.clients import Client, Code, Refresh
from githubsync.simulator.things import Account, Token, now
from githubsync.simulator.world import World

ROUTE = "oauth"
"""Its addresses are in no description of GitHub's."""
AUTHORIZE = "/login/oauth/authorize"
ACCESS_TOKEN = "/login/oauth/access_token"  # noqa: S105 (an address)
CODE_LIFE = timedelta(minutes=10)
TOKEN_LIFE = timedelta(hours=8)
REFRESH_LIFE = timedelta(days=184)
DENIED = "The user has denied your application access."
MISMATCH = "The redirect_uri MUST match the registered callback URL for this application."
SENTENCES = {
    "incorrect_client_credentials": "The client_id and/or client_secret passed are incorrect.",
    "redirect_uri_mismatch": MISMATCH,
    "bad_verification_code": "The code passed is incorrect or expired.",
    "bad_refresh_token": "The refresh token passed is incorrect or expired.",
    "unsupported_grant_type": "The grant_type is not supported.",
}
DOCUMENTATION = (
    "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/"
)


@dataclass(frozen=True)
class Reply:
    """``body`` of the access token's answers is an object, of the pages HTML."""

    status: int
    body: Any = None
    kind: str = "text/html; charset=utf-8"
    location: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Location": self.location} if self.location else {}

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, str):
            return self.body.encode()
        return (json.dumps(self.body) if "json" in self.kind else urlencode(self.body)).encode()


def register(world: World, callback: str) -> Client:
    """Make an OAuth App that sends people back to ``callback``."""
    client = Client(f"Ov23li{secrets.token_hex(7)}", secrets.token_hex(20), [callback])
    world.oauth.clients[client.id] = client
    return client


def client_of(world: World, client_id: str) -> Client | None:
    app = next((app for app in world.apps.values() if app.client_id == client_id), None)
    if app:
        return Client(app.client_id, app.client_secret, app.callback_urls, app)
    return world.oauth.clients.get(client_id)


def answer(world: World, method: str, target: str, headers: dict[str, str], sent: bytes) -> Reply | None:
    """Return the answer to a request of the flow, None when it is none."""
    parts = urlsplit(target)
    with world.lock:
        if parts.path == AUTHORIZE:
            asked = dict(parse_qsl(parts.query))
            said = dict(parse_qsl(sent.decode())) if method == "POST" else {}
            return _authorize(world, asked, said, decided=method == "POST")
        if parts.path == ACCESS_TOKEN and method == "POST":
            kind = "application/json; charset=utf-8"
            if "json" not in headers.get("accept", ""):
                kind = "application/x-www-form-urlencoded; charset=utf-8"
            given = _given(headers, parts.query, sent)
            client = client_of(world, given.get("client_id", ""))
            if client is None:
                return Reply(404, {"error": "Not Found"}, kind)
            return Reply(200, _tokens(world, client, given), kind)
    return None


def _given(headers: dict[str, str], query: str, sent: bytes) -> dict[str, str]:
    if "json" in headers.get("content-type", ""):
        return {name: str(value) for name, value in json.loads(sent or b"{}").items()}
    return dict(parse_qsl(query)) | dict(parse_qsl(sent.decode()))


def _authorize(world: World, asked: dict[str, str], said: dict[str, str], *, decided: bool) -> Reply:
    """Ask the person, and send them back with their answer."""
    client = client_of(world, asked.get("client_id", ""))
    if client is None or not client.callbacks:
        return Reply(404, "<h1>404</h1>")
    state = {name: asked[name] for name in ("state",) if name in asked}
    redirect = asked.get("redirect_uri") or client.callbacks[0]
    if not any(_is_below(redirect, callback) for callback in client.callbacks):
        wrong = {"error": "redirect_uri_mismatch", "error_description": MISMATCH}
        return _back(client.callbacks[0], wrong | state)
    if not decided:
        return Reply(200, _page(world, client))
    account = world.accounts.get(said.get("login", ""))
    if account is None:
        return _back(redirect, {"error": "access_denied", "error_description": DENIED} | state)
    code = secrets.token_hex(10)
    scopes = () if client.app else tuple(asked.get("scope", "").replace(",", " ").split())
    challenge = asked.get("code_challenge", "")
    world.oauth.codes[code] = Code(client, account, redirect, scopes, challenge, now() + CODE_LIFE)
    return _back(redirect, {"code": code} | state)


def _back(to: str, said: dict[str, str]) -> Reply:
    return Reply(302, location=f"{to}{'&' if urlsplit(to).query else '?'}{urlencode(said)}")


def _is_below(redirect: str, callback: str) -> bool:
    """Whether GitHub lets a client send people there: the same host, the same path or one below it."""
    ours, registered = urlsplit(redirect), urlsplit(callback)
    return ours[:2] == registered[:2] and ours.path.startswith(registered.path)


def _page(world: World, client: Client) -> str:
    people = [account.login for account in world.accounts.values() if account.kind == "User"]
    button = '<button name="login" value="{0}">{1}</button>'
    buttons = [button.format(escape(login), f"Authorize as {escape(login)}") for login in people]
    name = client.app.name if client.app else client.id
    head = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Authorize</title>'
    form = f'<form method="post">{"".join(buttons)}{button.format("", "Cancel")}</form>'
    return f"{head}<h1>Authorize {escape(name)}</h1>{form}</html>"


def _refused(word: str) -> dict[str, str]:
    return {"error": word, "error_description": SENTENCES[word], "error_uri": f"{DOCUMENTATION}#{word}"}


def _tokens(world: World, client: Client, given: dict[str, str]) -> dict[str, Any]:
    if not secrets.compare_digest(given.get("client_secret", ""), client.secret):
        return _refused("incorrect_client_credentials")
    kind = given.get("grant_type", "authorization_code")
    if kind == "refresh_token":
        return _refreshed(world, client, given)
    if kind != "authorization_code":
        return _refused("unsupported_grant_type")
    code = world.oauth.codes.pop(given.get("code", ""), None)
    if code is None or code.client.id != client.id or code.expires_at <= now():
        return _refused("bad_verification_code")
    if given.get("redirect_uri", code.redirect) != code.redirect:
        return _refused("redirect_uri_mismatch")
    if code.challenge and _challenge(given.get("code_verifier", "")) != code.challenge:
        return _refused("bad_verification_code")
    return _give(world, client, code.account, code.scopes)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refreshed(world: World, client: Client, given: dict[str, str]) -> dict[str, Any]:
    """Exchange a refresh token, which works once; the access token before it ends too."""
    known = world.oauth.refresh.get(given.get("refresh_token", ""))
    if known is None or known.client.id != client.id or known.expires_at <= now():
        return _refused("bad_refresh_token")
    forget(world, known.access)
    return _give(world, client, known.account, ())


def _give(world: World, client: Client, account: Account, scopes: tuple[str, ...]) -> dict[str, Any]:
    said: dict[str, Any] = {"token_type": "bearer", "scope": ",".join(scopes)}
    if client.app is None:
        token = Token(f"gho_{secrets.token_hex(18)}", account, {}, scopes=scopes)
    else:
        there = [one for one in world.installations.values() if one.app is client.app]
        seen = (repo for repo in world.repos.values() if any(apps.sees(one, repo.id, repo.owner) for one in there))
        repositories = frozenset(repo.id for repo in seen)
        ends = now() + TOKEN_LIFE
        token = Token(
            f"ghu_{secrets.token_hex(18)}", account, dict(client.app.permissions), repositories, expires_at=ends
        )
        refresh = f"ghr_{secrets.token_hex(38)}"
        world.oauth.refresh[refresh] = Refresh(client, account, token.value, now() + REFRESH_LIFE)
        said |= {"expires_in": int(TOKEN_LIFE.total_seconds()), "refresh_token": refresh}
        said["refresh_token_expires_in"] = int(REFRESH_LIFE.total_seconds())
    world.tokens[token.value] = token
    world.oauth.owners[token.value] = client.id
    return {"access_token": token.value, **said}


def forget(world: World, access: str) -> None:
    """End a user's token and what it could be refreshed by."""
    world.tokens.pop(access, None)
    world.oauth.owners.pop(access, None)
    for value in [value for value, known in world.oauth.refresh.items() if known.access == access]:
        del world.oauth.refresh[value]


def basic(world: World, header: str) -> Client | None:
    """Return the client that an Authorization header names with its secret."""
    try:
        client_id, _, secret = base64.b64decode(header.partition(" ")[2]).decode().partition(":")
    except ValueError:
        return None
    client = client_of(world, client_id)
    return client if client and secrets.compare_digest(secret, client.secret) else None
