"""Hooks of repositories and Apps: where somebody wants to hear of what happens, and what was sent there."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

KEPT = 5000
"""Deliveries of one hook that are remembered."""
FORM = "form"
UNASKED = frozenset({"ping", "installation", "installation_repositories"})
"""An App hears of them without being subscribed."""
TYPES = {"json": "application/json", FORM: "application/x-www-form-urlencoded"}


def _moment() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Sent:
    """One attempt to deliver. ``status_code`` 0: there was no answer, and ``status`` says why."""

    id: int
    guid: str
    event: str
    payload: dict[str, Any]
    headers: dict[str, str]
    redelivery: bool
    status_code: int
    status: str
    answer_headers: dict[str, str]
    answer: str
    duration_s: float
    url: str
    at: datetime

    @property
    def action(self) -> str | None:
        return self.payload.get("action")


@dataclass
class Hook:
    """``target`` is the number of the repository, or of the App, that it belongs to."""

    id: int
    target: int
    of_app: bool
    url: str
    events: list[str]
    secret: str = field(default="", repr=False)
    content_type: str = FORM
    insecure_ssl: str = "0"
    active: bool = True
    created_at: datetime = field(default_factory=_moment)
    updated_at: datetime = field(default_factory=_moment)
    deliveries: deque[Sent] = field(default_factory=lambda: deque(maxlen=KEPT))

    def wants(self, event: str) -> bool:
        asked = event in self.events or "*" in self.events or (self.of_app and event in UNASKED)
        return self.active and bool(self.url) and asked

    def letter(self, event: str, guid: str, payload: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a delivery, signed with the secret as it is now."""
        text = json.dumps(payload)
        body = (urlencode({"payload": text}) if self.content_type == FORM else text).encode()
        headers = {
            "Accept": "*/*",
            "Content-Type": TYPES[self.content_type],
            "User-Agent": "GitHub-Hookshot/5c1f1a2",
            "X-GitHub-Delivery": guid,
            "X-GitHub-Enterprise-Host": "127.0.0.1",
            "X-GitHub-Enterprise-Version": "3.19.0",
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(self.id),
            "X-GitHub-Hook-Installation-Target-ID": str(self.target),
            "X-GitHub-Hook-Installation-Target-Type": "integration" if self.of_app else "repository",
        }
        if self.secret:
            for name, algorithm in (("X-Hub-Signature", "sha1"), ("X-Hub-Signature-256", "sha256")):
                digits = hmac.new(self.secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()
                headers[name] = f"{algorithm}={digits}"
        return headers, body


def of_app(number: int, app_id: int, url: str, events: list[str]) -> Hook:
    """Return the one hook of a new App, which GitHub thinks up the secret for."""
    hook = Hook(number, app_id, True, url, events, secrets.token_hex(20), "json")
    hook.active = bool(url)
    return hook
