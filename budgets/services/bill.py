"""What one generation cost."""

from dataclasses import dataclass

from budgets.models import Hold, Usage


@dataclass(frozen=True)
class Bill:
    """What one generation cost, and who says so. ``cached`` and ``cache_write`` are among the input tokens,
    ``reasoning`` among the output tokens: never add them again.
    """

    generation_id: str | None
    model_used: str
    provider: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nanousd: int
    source: Usage.Source


def unexplained(hold: Hold, cost_nanousd: int, source: Usage.Source) -> Bill:
    """Return the bill of a call of which nothing is known but what is to be charged for it."""
    return Bill(
        generation_id=hold.generation_id or None,
        model_used=hold.model,
        provider=hold.provider,
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost_nanousd=cost_nanousd,
        source=source,
    )


def presumed(hold: Hold) -> Bill:
    """Return the bill of an answer that nobody prices: the hold, the only amount that cannot be too little."""
    return unexplained(hold, hold.amount_nanousd, Usage.Source.PRESUMED)
