"""What the provider generated, what it bills for it, and whether the client was there to hear it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal


def nanousd(cost_usd: Decimal) -> int:
    """Return nano-dollars, rounded half to even. On purpose not the product's own arithmetic."""
    return int((cost_usd * 10**9).to_integral_value(ROUND_HALF_EVEN))


@dataclass
class Generation:
    """One request as the accountant sees it. ``reference`` is its Idempotency-Key.

    ``is_generated``: the model ran, be it for nothing. ``bills_after_hang_up``: a client that leaves pays all the same.
    """

    id: str
    reference: str
    model: str
    begun_at: datetime
    provider: str = "Acme"
    fault: str = ""
    cost_usd: Decimal = Decimal(0)
    is_generated: bool = False
    was_named: bool = False
    """Whether the client was told the id: without it nobody can ask for the record."""
    bills_after_hang_up: bool = True
    hung_up_at: float | None = None
    over_at: float | None = None
    misses: int = 0
    """How many more look-ups find no record, once the answer is over."""
    input_tokens: int = 1_000
    output_tokens: int = 50
    cached_tokens: int = 800
    reasoning_tokens: int = 10

    @property
    def cost_nanousd(self) -> int:
        return nanousd(self.cost_usd)

    @property
    def hung_up(self) -> bool:
        return self.hung_up_at is not None


@dataclass
class Books:
    """Every request ever taken, oldest first. ``record_delay_s`` passes before the record of an answer can be read."""

    generations: list[Generation] = field(default_factory=list)
    record_delay_s: float = 0.0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, reference: str, model: str) -> Generation:
        with self._lock:
            number = len(self.generations) + 1
            generation = Generation(f"gen-{number}", reference or f"nameless-{number}", model, self.clock())
            self.generations.append(generation)
            return generation

    def enter(self, generation_id: str, cost_usd: Decimal, *, at: datetime | None = None, **facts: object) -> None:
        """Bill something that nobody asked for here."""
        generation = self.begin(generation_id, "acme/large")
        generation.id, generation.cost_usd, generation.begun_at = generation_id, cost_usd, at or generation.begun_at
        generation.is_generated, generation.over_at = True, time.monotonic()
        for name, value in facts.items():
            setattr(generation, name, value)

    @property
    def total_nanousd(self) -> int:
        return sum(generation.cost_nanousd for generation in self)

    def __iter__(self) -> Iterator[Generation]:
        return iter(list(self.generations))

    def of(self, reference: str) -> Generation | None:
        """Return the generation that the request ``reference`` (its Idempotency-Key) led to."""
        return next((generation for generation in self if generation.reference == reference), None)

    def record(self, generation_id: str) -> Generation | None:
        """Return the generation if its record can be read by now. Each look-up that comes too early counts."""
        found = next((one for one in self if one.id == generation_id and one.is_generated), None)
        if found is None or found.over_at is None or time.monotonic() < found.over_at + self.record_delay_s:
            return None
        with self._lock:
            found.misses -= 1
            return found if found.misses < 0 else None

    def usage_usd(self, since: datetime) -> Decimal:
        return sum((one.cost_usd for one in self if one.begun_at >= since), Decimal(0))

    def activity(self, day: date | None = None) -> list[dict[str, object]]:
        """Return a row per day, model and provider, of completed UTC days only, or of ``day``."""
        today = self.clock().date()
        rows: dict[tuple[date, str, str], dict[str, object]] = {}
        for one in self:
            key = (one.begun_at.date(), one.model, one.provider)
            if not one.is_generated or (key[0] != day if day else key[0] >= today):
                continue
            row = rows.setdefault(key, {"usage": Decimal(0), "requests": 0, **dict.fromkeys(COUNTED, 0)})
            row["usage"] += one.cost_usd
            row["requests"] += 1
            for name, of in COUNTED.items():
                row[name] += getattr(one, of)
        return [
            {**row, "date": str(key[0]), "model": key[1], "provider_name": key[2], "usage": float(row["usage"])}
            for key, row in rows.items()
        ]


COUNTED = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
}
