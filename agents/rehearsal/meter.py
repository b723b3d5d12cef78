"""What a rehearsed answer takes: tokens from real bytes, a cache of prefixes, and a price.

The rehearsal has no price list. It charges what the request says that it may cost at most (``provider.max_price``),
which is what its model card lists, so that holds, captures and limits work with real amounts.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from threading import Lock

from agents.rehearsal.prompt import JSON, Prompt
from mcc.core.money import MTOK, nanousd

BYTES_PER_TOKEN = 4
CACHED_SHARE = Decimal("0.1")
"""Cached input costs a tenth."""
INPUT_USD_PER_MTOK = Decimal("3")
OUTPUT_USD_PER_MTOK = Decimal("15")
SESSIONS_REMEMBERED = 1_000


@dataclass(frozen=True)
class Tally:
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_nanousd: int


def tally(prompt: Prompt, output_bytes: int) -> Tally:
    """Return what answering ``prompt`` costs. Remembers the prompt as the prefix of its session."""
    parts = prompt.serialised
    cached = tokens(_prefixes.seen(str(prompt.body.get("session_id") or ""), parts))
    fresh = max(0, tokens(sum(map(len, parts))) - cached)
    prices = (prompt.body.get("provider") or {}).get("max_price") or {}
    input_price = Decimal(str(prices.get("prompt", INPUT_USD_PER_MTOK)))
    output_price = Decimal(str(prices.get("completion", OUTPUT_USD_PER_MTOK)))
    written = tokens(output_bytes)
    usd = (input_price * (fresh + cached * CACHED_SHARE) + output_price * written) / MTOK
    return Tally(fresh + cached, cached, written, nanousd(usd))


def tokens(size_bytes: int) -> int:
    return -(-size_bytes // BYTES_PER_TOKEN)


class _Prefixes:
    """The last prompt of each session, as digests: how much of the next one is a repetition."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, list[bytes]] = OrderedDict()
        self._lock = Lock()

    def seen(self, session: str, parts: Sequence[bytes]) -> int:
        """Return how many leading bytes of ``parts`` the session sent before, and remember ``parts``."""
        digests = [blake2b(part, digest_size=16).digest() for part in parts]
        with self._lock:
            before = self._sessions.pop(session, [])
            if session:
                self._sessions[session] = digests
            while len(self._sessions) > SESSIONS_REMEMBERED:
                self._sessions.popitem(last=False)
        same = 0
        for old, new, part in zip(before, digests, parts, strict=False):
            if old != new:
                break
            same += len(part)
        return same


_prefixes = _Prefixes()


def usage_of(tally: Tally) -> JSON:
    """Return the tally as a response reports it."""
    return {
        "prompt_tokens": tally.input_tokens,
        "completion_tokens": tally.output_tokens,
        "total_tokens": tally.input_tokens + tally.output_tokens,
        "prompt_tokens_details": {"cached_tokens": tally.cached_tokens},
        "cost": float(Decimal(tally.cost_nanousd).scaleb(-9)),
    }
