"""How much of the prompts came from the providers' caches: there a token costs a tenth to a half of its price."""

from django.db.models import QuerySet, Sum

from agents.models import Run
from budgets.models import Usage


def cached_percent(runs: QuerySet[Run]) -> int | None:
    """Return the share of the input tokens of ``runs`` that came from a cache; None: nothing was said. One query."""
    answers = Usage.objects.filter(message__run__in=runs.order_by())
    tokens = answers.aggregate(cached=Sum("cached_tokens", default=0), all=Sum("input_tokens", default=0))
    return round(100 * min(tokens["cached"], tokens["all"]) / tokens["all"]) if tokens["all"] else None
