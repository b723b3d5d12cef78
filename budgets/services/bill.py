from dataclasses import dataclass

from budgets.models import Usage


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
