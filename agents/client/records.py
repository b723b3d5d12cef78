"""What a provider tells of its models, of our keys and of what it billed. Everything here blocks."""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from agents.client import failures, keys, lazily
from agents.endpoint import Endpoint
from agents.errors import CallFailed
from agents.lenient import a_list, a_name, a_text, an_object
from agents.meter import Metered, decimal
from agents.rehearsal.transport import RehearsalTransport
from mcc.core.money import nanousd, usd

if TYPE_CHECKING:
    import openai

JSON = dict[str, Any]
KEYS_A_PAGE, MOST_KEYS = 100, 10_000
LOOK_UP_TIMEOUT_S = 20


@dataclass(frozen=True)
class Generation:
    """The provider's own record of a generation."""

    id: str
    model: str
    provider: str
    metered: Metered


@dataclass(frozen=True)
class Activity:
    """What was billed on one UTC day for one model at one upstream provider."""

    day: date
    model: str
    upstream: str
    cost_nanousd: int


@dataclass(frozen=True)
class Key:
    """What the provider says of our API key. ``left_nanousd`` and ``limit_nanousd`` are None when it has no limit.

    ``resets`` is how often the limit begins anew ("daily", "weekly", "monthly"), "" for never. ``label`` is what the
    provider shows of the key, the same that it has in the list of all keys.
    """

    billed_today_nanousd: int
    left_nanousd: int | None
    limit_nanousd: int | None = None
    resets: str = ""
    billed_nanousd: int = 0
    label: str = ""


def generation(endpoint: Endpoint, generation_id: str) -> Generation | None:
    """Return the provider's record of a generation, or None while it has none. Blocks. Raises CallFailed."""
    try:
        found = an_object(_get(endpoint, "/generation", {"id": generation_id}).get("data"))
    except CallFailed as failure:
        if failure.status == 404:
            return None
        raise
    return Generation(
        id=generation_id,
        model=a_name(found.get("model"), 200),
        provider=a_name(found.get("provider_name")),
        metered=Metered.of_record(found),
    )


def key(endpoint: Endpoint, *, timeout_s: float = LOOK_UP_TIMEOUT_S) -> Key:
    """Return what was billed to our key since midnight UTC, and what it may still spend. Blocks. Raises CallFailed."""
    found = an_object(_get(endpoint, "/key", {}, timeout_s).get("data"))
    today = decimal(found.get("usage_daily"))
    if today is None:
        raise CallFailed(f"{endpoint.name} does not say what it billed today")
    upstream = decimal(found.get("byok_usage_daily")) or 0
    return Key(
        billed_today_nanousd=nanousd(today + upstream),
        left_nanousd=_amount(found.get("limit_remaining")),
        limit_nanousd=_amount(found.get("limit")),
        resets=a_text(found.get("limit_reset")),
        billed_nanousd=_amount(found.get("usage")) or 0,
        label=a_text(found.get("label")),
    )


def _amount(value: object) -> int | None:
    amount = decimal(value)
    return None if amount is None else nanousd(amount)


def hashes(manager: Endpoint) -> list[tuple[str, str]]:
    """Return the hash and the label of every API key of the account. Blocks. Raises CallFailed."""
    found: list[tuple[str, str]] = []
    while len(found) < MOST_KEYS:
        rows = a_list(_get(manager, "/keys", {"offset": str(len(found))}).get("data"))
        found += [(a_text(row.get("hash")), a_text(row.get("label"))) for row in map(an_object, rows)]
        if len(rows) < KEYS_A_PAGE:
            break
    return found


def limit_key(manager: Endpoint, key_hash: str, limit_nanousd: int | None, resets: str) -> None:
    """Limit one API key of the account; None: no limit. Blocks. Raises CallFailed."""
    limit = None if limit_nanousd is None else float(usd(limit_nanousd))
    _request(manager, "PATCH", f"/keys/{quote(key_hash, safe='')}", {"limit": limit, "limit_reset": resets or None})


def credit_nanousd(endpoint: Endpoint) -> int | None:
    """Return what the account has left; None where the key may not know, as most keys may not. Blocks."""
    try:
        found = _get(endpoint, "/credits", {}).get("data") or {}
    except CallFailed:
        return None
    bought, used = decimal(found.get("total_credits")), decimal(found.get("total_usage"))
    return None if bought is None or used is None else nanousd(max(Decimal(0), bought - used))


def activity(manager: Endpoint, key_hash: str = "") -> list[Activity]:
    """Return the bill of the last 30 UTC days that are over, of one API key or of all. Blocks. Raises CallFailed.

    The provider tells this only to a management key (``Endpoint.managing``), which can call no model.
    """
    rows = _get(manager, "/activity", {"api_key_hash": key_hash} if key_hash else {}).get("data")
    return [_activity(manager, an_object(row)) for row in a_list(rows)]


def _activity(endpoint: Endpoint, row: JSON) -> Activity:
    cost = decimal(row.get("usage"))
    if cost is None:
        raise CallFailed(f"{endpoint.name} tells of activity without its cost")
    try:
        # Some write the day, others its midnight.
        day = date.fromisoformat(a_text(row.get("date"))[:10])
    except ValueError:
        raise CallFailed(f"{endpoint.name} tells of activity without its day") from None
    upstream = decimal(row.get("byok_usage_inference")) or 0
    return Activity(day, a_name(row.get("model"), 200), a_name(row.get("provider_name")), nanousd(cost + upstream))


def models(endpoint: Endpoint, *, timeout_s: float = LOOK_UP_TIMEOUT_S) -> list[JSON]:
    """Return what the endpoint lists under ``/models``, with numbers as Decimal. Blocks. Raises CallFailed."""
    listed = _get(endpoint, "/models", {}, timeout_s).get("data")
    return [card for card in a_list(listed) if isinstance(card, dict)]


def _get(endpoint: Endpoint, path: str, query: dict[str, str], timeout_s: float = LOOK_UP_TIMEOUT_S) -> JSON:
    return _request(endpoint, "GET", path, query=query, timeout_s=timeout_s)


def _request(
    endpoint: Endpoint,
    method: str,
    path: str,
    body: JSON | None = None,
    *,
    query: dict[str, str] | None = None,
    timeout_s: float = LOOK_UP_TIMEOUT_S,
) -> JSON:
    """Return the JSON that is answered: no float touches what may be money."""
    http_client = httpx2.Client(transport=RehearsalTransport()) if endpoint.is_rehearsal else None
    options: openai.RequestOptions = {
        "params": query or {},
        "headers": keys.authorization(endpoint),
        "timeout": timeout_s,
    }
    try:
        with lazily.openai().OpenAI(**keys.settings(endpoint), http_client=http_client) as client:
            if method == "PATCH":
                response = client.patch(path, cast_to=httpx2.Response, body=body, options=options)
            else:
                response = client.get(path, cast_to=httpx2.Response, options=options)
            answer = json.loads(response.text, parse_float=Decimal)
    except failures.known() as error:
        raise failures.failed(endpoint, error) from None
    if not isinstance(answer, dict):
        raise CallFailed(f"{endpoint.name} answered {path} with something else than an object")
    return answer
