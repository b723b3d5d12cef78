"""Whether a provider answers, takes our key and has credit left. Asks; buys nothing and books nothing."""

import time
from dataclasses import asdict, dataclass
from typing import Final

from django.utils import timezone

from agents import client
from agents.endpoint import Endpoint, KeySource
from agents.errors import CallFailed
from agents.models import Provider

TIMEOUT_S: Final = 8.0
"""A person waits for it."""
REFUSED: Final = (401, 403)


@dataclass(frozen=True)
class Health:
    """What was found. None: the provider does not say. ``left_nanousd`` and ``limit_nanousd`` also when the key has no
    limit of its own; ``resets`` is how often that begins anew, "" for never.
    """

    reachable: bool
    latency_ms: int
    key_accepted: bool | None = None
    left_nanousd: int | None = None
    models: int | None = None
    problem: str = ""
    limit_nanousd: int | None = None
    resets: str = ""

    @property
    def works(self) -> bool:
        return not self.problem


def check(provider: Provider) -> Health:
    """Look at ``provider`` now, and remember what was found. Blocks, twice 8 seconds at most. Never fails."""
    found = look(Endpoint.of(provider))
    provider.health, provider.health_at = asdict(found), timezone.now()
    provider.save(update_fields=["health", "health_at"])
    return found


def last(provider: Provider) -> Health | None:
    """Return what the last check found, if there was one."""
    return Health(**provider.health) if provider.health else None


def look(endpoint: Endpoint) -> Health:
    """Ask ``endpoint`` for its models, and OpenRouter for what it says of our key."""
    began = time.monotonic()
    try:
        models = len(client.models(endpoint, timeout_s=TIMEOUT_S))
    except CallFailed as failure:
        reachable, accepted = failure.status is not None, False if failure.status in REFUSED else None
        return Health(reachable, _since(began), accepted, problem=failure.detail)
    latency_ms, has_key = _since(began), endpoint.key_source is not KeySource.NONE
    if endpoint.kind != Provider.Kind.OPENROUTER:
        return Health(True, latency_ms, True if has_key else None, models=models)
    if not has_key:
        return Health(True, latency_ms, models=models, problem=f"{endpoint.name} has no key yet")
    try:
        key = client.key(endpoint, timeout_s=TIMEOUT_S)
    except CallFailed as failure:
        accepted = False if failure.status in REFUSED else None
        return Health(True, latency_ms, accepted, models=models, problem=failure.detail)
    problem = "" if key.left_nanousd is None or key.left_nanousd > 0 else "there is no credit left"
    return Health(True, latency_ms, True, key.left_nanousd, models, problem, key.limit_nanousd, key.resets)


def _since(began: float) -> int:
    return round(1_000 * (time.monotonic() - began))
