"""The key of an endpoint, and what a client is made with."""

from typing import Any

from agents.endpoint import Endpoint
from agents.errors import CallFailed
from agents.models import Provider
from mcc.core.encryption import Undecipherable

JSON = dict[str, Any]


def settings(endpoint: Endpoint) -> JSON:
    """Return what a client is made with. The key is not in it: each request brings the one that counts by then."""
    return {"api_key": "none", "base_url": endpoint.base_url or "http://rehearsal.invalid/v1", "max_retries": 0}


def authorization(endpoint: Endpoint) -> dict[str, str]:
    """Return the header with the key. Raises CallFailed when there should be one and is none, or none to be read."""
    try:
        key = endpoint.key()
    except Undecipherable as error:
        raise CallFailed(
            f"the key stored for {endpoint.name} cannot be read: {error}",
            permanent=True,
            suspends=Provider.Suspension.KEY,
        ) from None
    if endpoint.key_variable and not key:
        raise CallFailed(
            f"{endpoint.key_variable} is not set, so {endpoint.name} cannot be called",
            permanent=True,
            suspends=Provider.Suspension.KEY,
        )
    return {"Authorization": f"Bearer {key or 'none'}"}
