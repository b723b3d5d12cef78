"""What a provider's error means for the money on hold and for another try (https://openrouter.ai/docs/api/reference/errors).

Refused before generation: nothing is billed. Timed out, or broken off after the generation got its id: may be billed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from agents.errors import CallFailed

JSON = dict[str, Any]
TIMED_OUT = frozenset({408, 504, 524})
"""The provider gave up, perhaps after it had begun."""
WORTH_ANOTHER_TRY = TIMED_OUT | {425, 429}
IN_FLIGHT = "openrouter_in_flight_budget"
"""A 402 that goes away by itself: other requests of ours hold the credit for the moment."""


def refused(endpoint: str, status: int, headers: Mapping[str, str], body: object) -> CallFailed:
    """Return the failure that an HTTP status other than 2xx means."""
    error = body if isinstance(body, dict) else {}
    generation_id = headers.get("x-generation-id", "")
    return CallFailed(
        f"{endpoint} answered {status}: {_sentence(status, error)}",
        status=status,
        permanent=_is_permanent(status, error),
        retry_after_s=retry_after_s(headers, error),
        may_be_billed=status in TIMED_OUT or (status >= 500 and bool(generation_id)),
        generation_id=generation_id,
    )


def broken_off(endpoint: str, body: object) -> CallFailed:
    """Return the failure that an error inside a stream means. Its ``code`` is a number or a word."""
    error = body if isinstance(body, dict) else {}
    code = str(error.get("code") or "")
    status = int(code) if code.isdecimal() else None
    return CallFailed(
        f"{endpoint} broke off: {code} {_sentence(status or 0, error)}",
        permanent=status is not None and _is_permanent(status, error),
        retry_after_s=retry_after_s({}, error),
        may_be_billed=True,
    )


def retry_after_s(headers: Mapping[str, str], error: JSON) -> float | None:
    """Return the seconds that the provider asks us to wait. ``Retry-After`` is a number or a date (RFC 9110)."""
    wish = headers.get("retry-after") or _part(error, "availability").get("retry_after")
    if wish is None:
        return None
    try:
        return max(0.0, float(wish))
    except (TypeError, ValueError):
        pass
    try:
        moment = parsedate_to_datetime(str(wish))
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _is_permanent(status: int, error: JSON) -> bool:
    if status == 402:
        return _part(error, "metadata").get("limit_source") != IN_FLIGHT
    return 400 <= status < 500 and status not in WORTH_ANOTHER_TRY


def _sentence(status: int, error: JSON) -> str:
    if status == 401:
        return "it does not accept the API key"  # providers repeat parts of the key in their own sentence
    return str(error.get("message") or "no reason given")[:300]


def _part(error: JSON, name: str) -> JSON:
    part = error.get(name)
    return part if isinstance(part, dict) else {}
