"""GitHub Apps in the simulator: made from a manifest, installed on an account, known by their key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from githubsync.simulator import hooks

if TYPE_CHECKING:
    from githubsync.simulator.things import Account
    from githubsync.simulator.world import World

TOKEN_LIFE = timedelta(hours=1)
LONGEST_JWT_S = 600
LEEWAY_S = 5


class BadToken(Exception):
    """A JSON web token that is not an App's, in GitHub's words."""


@dataclass
class App:
    """``account`` is the bot that it acts as; ``pem`` its private key, of which a real GitHub keeps the public half."""

    id: int
    slug: str
    name: str
    owner: Account
    account: Account
    permissions: dict[str, str]
    events: list[str]
    url: str
    setup_url: str
    pem: str
    hook: hooks.Hook
    callback_urls: list[str] = field(default_factory=list)
    client_id: str = field(default_factory=lambda: f"Iv1.{secrets.token_hex(8)}")
    client_secret: str = field(default_factory=lambda: secrets.token_hex(20))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


@dataclass
class Installation:
    """``repositories`` None: all of the account."""

    id: int
    app: App
    account: Account
    repositories: frozenset[int] | None
    permissions: dict[str, str]
    events: list[str]
    suspended_at: datetime | None = None


def create(world: World, owner: str, manifest: dict[str, Any]) -> tuple[App, str]:
    """Make the App that ``manifest`` describes; return it and the code that is exchanged for its secrets, once."""
    name = str(manifest.get("name") or f"app-{world.next_id()}")
    slug = "".join(sign if sign.isalnum() else "-" for sign in name.lower()).strip("-")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kind, encoding = serialization.PrivateFormat.TraditionalOpenSSL, serialization.Encoding.PEM
    pem = key.private_bytes(encoding, kind, serialization.NoEncryption()).decode()
    app_id, events = world.next_id(), list(manifest.get("default_events", []))
    hook_url = manifest.get("hook_attributes", {}).get("url", "")
    app = App(
        id=app_id,
        slug=slug,
        name=name,
        owner=world.account(owner),
        account=world.account(f"{slug}[bot]", "Bot"),
        permissions={"metadata": "read", **manifest.get("default_permissions", {})},
        events=events,
        url=manifest["url"],
        setup_url=manifest.get("setup_url", ""),
        pem=pem,
        hook=hooks.of_app(world.next_id(), app_id, hook_url, events),
        callback_urls=list(manifest.get("callback_urls", [])),
    )
    world.apps[app.id] = app
    code = secrets.token_hex(20)
    world.manifest_codes[code] = app
    if app.hook.active:
        world.happened("ping", None, app.owner, hook=app.hook)
    return app, code


def install(world: World, app: App, login: str, repositories: frozenset[int] | None = None) -> Installation:
    """Let ``app`` into the repositories of an account, as its owner does on the App's page."""
    installation = Installation(
        world.next_id(), app, world.account(login), repositories, dict(app.permissions), list(app.events)
    )
    world.installations[installation.id] = installation
    for repo in world.repos.values():
        if sees(installation, repo.id, repo.owner):
            repo.collaborators[app.account.id] = "write"
    _tell(world, installation, "created")
    return installation


def uninstall(world: World, installation: Installation) -> None:
    """Take the App out again; its tokens are dead."""
    _tell(world, installation, "deleted")
    del world.installations[installation.id]
    for value in [value for value, token in world.tokens.items() if token.installation is installation]:
        del world.tokens[value]
    for repo in world.repos.values():
        if repo.owner is installation.account:
            repo.collaborators.pop(installation.app.account.id, None)


def suspend(world: World, installation: Installation, at: datetime | None) -> None:
    """Let the App in no longer from ``at`` on, or again."""
    installation.suspended_at = at
    _tell(world, installation, "suspend" if at else "unsuspend")


def _tell(world: World, installation: Installation, action: str) -> None:
    seen = [repo for repo in world.repos.values() if sees(installation, repo.id, repo.owner)]
    world.happened("installation", action, installation.account, installation=installation, repositories=seen)


def sees(installation: Installation, repo_id: int, owner: Account) -> bool:
    listed = installation.repositories is None or repo_id in installation.repositories
    return owner is installation.account and listed


def app_of(world: World, token: str) -> App:
    """Return the App that signed a JSON web token, with RS256, for ten minutes at most. Raises BadToken."""
    try:
        app = world.apps.get(int(jwt.decode(token, options={"verify_signature": False})["iss"]))
    except (jwt.PyJWTError, KeyError, ValueError):
        raise BadToken("A JSON web token could not be decoded") from None
    if app is None:
        raise BadToken("Integration not found")
    key = serialization.load_pem_private_key(app.pem.encode(), None).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            options={"require": ["exp", "iat", "iss"], "verify_iss": False},
            leeway=LEEWAY_S,
        )
    except jwt.ExpiredSignatureError:
        raise BadToken("'Expiration time' claim ('exp') must be a numeric value in the future") from None
    except jwt.PyJWTError:
        raise BadToken("A JSON web token could not be decoded") from None
    if claims["exp"] > datetime.now(UTC).timestamp() + LONGEST_JWT_S:
        raise BadToken("'Expiration time' claim ('exp') is too far in the future")
    return app
