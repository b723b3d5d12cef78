"""What a provider's error means for the money on hold and for another try (https://openrouter.ai/docs/api/reference/errors).

Refused before generation: nothing is billed. Timed out, or broken off after the generation got its id: may be billed.
Some refusals concern everybody who calls that provider, not this call: no key, no credit. They suspend it.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from agents import dialects
from agents.errors import CallFailed
from agents.lenient import an_id, an_object, seen
from agents.models import Provider

JSON = dict[str, Any]
Suspension = Provider.Suspension

TIMED_OUT = frozenset({408, 504, 524})
"""The provider gave up, perhaps after it had begun."""
WORTH_ANOTHER_TRY = TIMED_OUT | {425, 429}
IN_FLIGHT = "openrouter_in_flight_budget"
"""A 402 that goes away by itself: other requests of ours hold the credit for the moment."""
SUSPENDED_BY = {
    "openrouter_credits": Suspension.CREDITS,
    "openrouter_key_limit": Suspension.KEY_LIMIT,
    "openrouter_guardrail_budget": Suspension.BUDGET,
    "openrouter_workspace_budget": Suspension.BUDGET,
}
SENTENCES = {
    Suspension.KEY: "it does not accept the API key",  # providers repeat parts of the key in their own sentence
    Suspension.CREDITS: "the account has no credit left",
    Suspension.KEY_LIMIT: "the API key has reached its own limit",
    Suspension.BUDGET: "a budget that is set there is used up",
}
EXCLUDED = {
    "max_price": "none is as cheap as the list says, so its models must be listed anew",
    "data_collection": "none promises to keep nothing of what it is sent, and MCC_DATA_COLLECTION denies the others",
}
FARTHEST = timedelta(days=366)
"""A later time that a provider tells means nothing to anybody who waits."""
MOST_CHARS = 500
TOO_LONG = re.compile(
    r"context.{0,12}(length|window|size)|maximum context|too many (input |prompt )?tokens(?! per)"
    r"|(prompt|input|request) is too (long|large)|reduce the length"
    r"|exceeds? the (model's )?max\w* (input|prompt|token)",
    re.IGNORECASE,
)
"""How providers say that a prompt does not fit into the window. There is no code that all of them use."""
TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
TOO_LONG_STATUSES = frozenset({0, 400, 413, 422, 500})
"""A 429 with such words is about tokens per minute."""


def refused(endpoint: str, status: int, headers: Mapping[str, str], body: object) -> CallFailed:
    """Return the failure that an HTTP status other than 2xx means."""
    error = an_object(body)
    generation_id = an_id(headers.get("x-generation-id"))
    suspends = _suspends(status, error)
    too_long = _is_too_long(status, error)
    return CallFailed(
        seen(f"{endpoint} answered {status}: {_sentence(status, error)}", MOST_CHARS),
        status=status,
        permanent=bool(suspends) or too_long or _is_permanent(status, error),
        retry_after_s=retry_after_s(headers, error),
        may_be_billed=status in TIMED_OUT or (status >= 500 and bool(headers.get("x-generation-id"))),
        generation_id=generation_id,
        suspends=suspends,
        resets_at=_moment(an_object(error.get("metadata")).get("resets_at")) if suspends else None,
        too_long=too_long,
        refused_fields=frozenset() if too_long else dialects.refused_fields(status, body),
    )


def broken_off(endpoint: str, body: object, *, may_be_billed: bool = True) -> CallFailed:
    """Return the failure that an error inside an answer means. Its ``code`` is a number or a word."""
    error = an_object(body)
    code = str(error.get("code") or "")
    status = int(code) if code.isdecimal() and len(code) == 3 else None
    suspends = _suspends(status or 0, error)
    too_long = _is_too_long(status or 0, error)
    return CallFailed(
        seen(f"{endpoint} broke off: {code} {_sentence(status or 0, error)}", MOST_CHARS),
        status=status,
        permanent=bool(suspends) or too_long or (status is not None and _is_permanent(status, error)),
        retry_after_s=retry_after_s({}, error),
        may_be_billed=may_be_billed,
        suspends=suspends,
        resets_at=_moment(an_object(error.get("metadata")).get("resets_at")) if suspends else None,
        too_long=too_long,
    )


def no_stream(endpoint: str, content_type: str) -> CallFailed:
    """Return the failure that a 200 means which is neither a stream of events nor JSON: a proxy's or a login page.

    No model was asked by whoever sends that, so nothing is billed.
    """
    kind = content_type.partition(";")[0].strip()[:60] or "nothing that has a type"
    return CallFailed(f"{endpoint} answered with {kind} where a stream of events was expected: is its URL right?")


def retry_after_s(headers: Mapping[str, str], error: JSON) -> float | None:
    """Return the seconds that the provider asks us to wait, a year at most. None: it does not say, or no sense.

    ``Retry-After`` is a number or a date (RFC 9110). OpenRouter's own limit tells the moment instead, in milliseconds
    (``X-RateLimit-Reset``).
    """
    wish_s = _wish_s(headers, error)
    return None if wish_s is None else min(max(0.0, wish_s), FARTHEST.total_seconds())


def _wish_s(headers: Mapping[str, str], error: JSON) -> float | None:
    wish = headers.get("retry-after") or an_object(error.get("availability")).get("retry_after")
    if wish is None and headers.get("x-ratelimit-remaining") == "0":
        reset_ms = _number(headers.get("x-ratelimit-reset"))
        return None if reset_ms is None else reset_ms / 1_000 - datetime.now(UTC).timestamp()
    if (seconds := _number(wish)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(str(wish))
    except (ValueError, OverflowError):
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _suspends(status: int, error: JSON) -> Suspension | None:
    """Return what is wrong for everybody who calls this provider, if the error says so."""
    if status == 401:
        return Suspension.KEY
    limit = an_object(error.get("metadata")).get("limit_source")
    if status == 402 and limit != IN_FLIGHT:
        return SUSPENDED_BY.get(str(limit), Suspension.CREDITS)
    if status == 403:
        return SUSPENDED_BY.get(str(limit))
    # OpenAI, and those who copy it, say so with the status of a rate limit.
    return Suspension.CREDITS if status == 429 and error.get("code") == "insufficient_quota" else None


def _is_too_long(status: int, error: JSON) -> bool:
    """Whether the prompt does not fit into the model's window, in the words of the provider or of one behind it."""
    if status not in TOO_LONG_STATUSES:
        return False
    raw = an_object(error.get("metadata")).get("raw")
    said = f"{error.get('message') or ''} {raw if isinstance(raw, str) else ''}"[:4_000]
    return not TOO_LONG_CODES.isdisjoint((str(error.get("code")), str(error.get("type")))) or bool(
        TOO_LONG.search(said)
    )


def _is_permanent(status: int, error: JSON) -> bool:
    if status == 402:
        return an_object(error.get("metadata")).get("limit_source") != IN_FLIGHT
    return 400 <= status < 500 and status not in WORTH_ANOTHER_TRY


def _sentence(status: int, error: JSON) -> str:
    """Return in words what is wrong. Of the provider's words only those that say more than we know."""
    metadata, availability = an_object(error.get("metadata")), an_object(error.get("availability"))
    suspension = _suspends(status, error)
    if suspension is Suspension.KEY:
        return SENTENCES[suspension]
    if suspension:
        return SENTENCES[suspension] + _figures(metadata)
    if status == 402:
        return "other requests of ours hold the credit for the moment"
    code = availability.get("code") or metadata.get("error_type")
    if code == "constraint_filtered":
        excluded = availability.get("excluded_by") or metadata.get("excluded_by")
        return f"no endpoint of the model meets our terms: {_excluded(excluded)}"
    if code == "model_deprecated":
        return "the model is not offered any more: choose another one"
    return _message(error) + _upstream(metadata) + _before(metadata)


def _figures(metadata: JSON) -> str:
    """Return whose limit it is, how far it is used, and when it starts again, as far as that is told."""
    spent, limit = _number(metadata.get("spend_usd")), _number(metadata.get("limit_usd"))
    parts = [
        f"of the {metadata['scope']}" if isinstance(metadata.get("scope"), str) else "",
        f"${spent:.2f} of ${limit:.2f}" if spent is not None and limit is not None else "",
        f"until {moment:%d %b %Y, %H:%M} UTC" if (moment := _moment(metadata.get("resets_at"))) else "",
    ]
    told = ", ".join(part for part in parts if part)
    return f" ({told})" if told else ""


def _excluded(names: object) -> str:
    known = [str(name) for name in names] if isinstance(names, list) else []
    return "; ".join(EXCLUDED.get(name, f"excluded by {name}") for name in known) or "it does not say which"


def _message(error: JSON) -> str:
    return str(error.get("message") or "no reason given")[:300]


def _upstream(metadata: JSON) -> str:
    """Return what the endpoint behind the broker said: the broker's own sentence is often the same for everything."""
    name, raw = metadata.get("provider_name"), metadata.get("raw")
    said = f": {raw[:200]}" if isinstance(raw, str) and raw else ""
    return f" ({name}{said})" if isinstance(name, str) and name else ""


def _before(metadata: JSON) -> str:
    """Return which endpoints the broker had tried before it gave up."""
    earlier = metadata.get("previous_errors")
    tried = [each for each in earlier if isinstance(each, dict)] if isinstance(earlier, list) else []
    names = [f"{each.get('provider_name') or 'another'} {each.get('code') or ''}".strip()[:60] for each in tried[:5]]
    return f"; before that failed {', '.join(names)}" if names else ""


def _number(value: object) -> float | None:
    """Return a finite number that ``value`` is or writes."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _moment(value: object) -> datetime | None:
    """Return the moment that ``value`` writes (ISO 8601), in UTC, if it lies within the next year."""
    try:
        moment = datetime.fromisoformat(str(value))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if timedelta() < moment - datetime.now(UTC) <= FARTHEST else None
