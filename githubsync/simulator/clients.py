"""Who may ask people for their leave by OAuth, and what was given out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from githubsync.simulator.apps import App
    from githubsync.simulator.things import Account


@dataclass
class Client:
    """Who asks for people's leave: an OAuth App, or an ``app`` of GitHub's newer kind, whose tokens end."""

    id: str
    secret: str
    callbacks: list[str]
    app: App | None = None


@dataclass
class Code:
    client: Client
    account: Account
    redirect: str
    scopes: tuple[str, ...]
    challenge: str
    expires_at: datetime


@dataclass
class Refresh:
    client: Client
    account: Account
    access: str
    expires_at: datetime


@dataclass
class Ledger:
    """What was given out. Clients that are Apps are found among the Apps."""

    clients: dict[str, Client] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    refresh: dict[str, Refresh] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Which client a user's token was given to."""
