"""What went wrong on the line, as CallFailed. The original goes no further: its request carries the API key."""

import json

import httpx2

from agents import refusals
from agents.client import lazily
from agents.client.bounded import TooLarge
from agents.endpoint import Endpoint
from agents.errors import CallFailed
from mcc.core import redaction

NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
"""What goes wrong before a byte of the request has left."""


def known() -> tuple[type[Exception], ...]:
    """Return what can go wrong with a request, or with reading its answer."""
    return (lazily.openai().APIError, httpx2.HTTPError, ValueError)


def failed(endpoint: Endpoint, error: Exception, *, answering: bool = False) -> CallFailed:
    """Return what ``error``, one of `known`, means. ``answering``: it came after the headers."""
    if isinstance(error.__cause__ or error, TooLarge):
        return CallFailed(
            f"{endpoint.name} does not stop: {error.__cause__ or error}", permanent=True, may_be_billed=True
        )
    if isinstance(error, lazily.openai().APIStatusError):
        return refusals.refused(endpoint.name, error.status_code, error.response.headers, without_secrets(error.body))
    if isinstance(error, lazily.openai().APIConnectionError):
        cause = error.__cause__ or error
        return CallFailed(
            f"{endpoint.name} could not be reached or fell silent ({type(cause).__name__})",
            may_be_billed=answering or not isinstance(cause, NOT_SENT),
        )
    if isinstance(error, lazily.openai().APIError):
        return refusals.broken_off(endpoint.name, without_secrets(error.body))
    return CallFailed(f"{endpoint.name} sent what nobody can read ({type(error).__name__})", may_be_billed=True)


def without_secrets(body: object) -> object:
    """Return ``body`` without the API key and any other secret: some servers repeat what they were sent."""
    return json.loads(redaction.redact(json.dumps(body, default=str)))
