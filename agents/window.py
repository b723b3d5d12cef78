"""How full the window of a run's model is: what its last prompt took, what of that came from a cache, and what is next.

The window counts as the card of the model says it, or as less where a provider refused prompts that should have fitted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Max, Min, Q

from agents.condensing import CONDENSE_AT
from agents.models import Condensation, Message, Run

REFUSED = Q(reason=Condensation.Reason.REFUSED)


@dataclass(frozen=True)
class WindowMeter:
    """``prompt_tokens`` is what the provider counted of the last prompt, 0 before the first; ``condensations`` are
    those of the conversation so far."""

    prompt_tokens: int
    cached_tokens: int
    window_tokens: int
    condensations: int

    @property
    def condense_at_tokens(self) -> int:
        return int(self.window_tokens * CONDENSE_AT)

    @property
    def percent(self) -> int:
        return round(100 * self.prompt_tokens / self.window_tokens) if self.window_tokens else 100

    @property
    def cached_percent(self) -> int:
        return round(100 * min(1, self.cached_tokens / self.prompt_tokens)) if self.prompt_tokens else 0


def tokens_of(run: Run) -> int:
    """Return how many tokens the model of ``run`` takes in. One query if the conversation was condensed before."""
    if not run.conversation.condensed_until:
        return run.model.context_tokens
    _, learned = _condensed([run.conversation_id])
    return _window(run, learned)


def meters(runs: Sequence[Run]) -> dict[int, WindowMeter]:
    """Return the meter of each of ``runs``, by key. Three queries, however many; one while none has an answer."""
    if not runs:
        return {}
    begun = [run for run in runs if run.step]
    answers = Message.objects.filter(run__in=begun, role=Message.Role.ASSISTANT, usage__isnull=False).order_by()
    last = answers.values("run").annotate(at=Max("pk")).values_list("at", flat=True)
    prompts = {row.run_id: row.usage for row in Message.objects.filter(pk__in=list(last)).select_related("usage")}
    times, learned = _condensed([run.conversation_id for run in runs])
    found = {}
    for run in runs:
        usage = prompts.get(run.pk)
        tokens = (usage.input_tokens, usage.cached_tokens) if usage else (0, 0)
        found[run.pk] = WindowMeter(*tokens, _window(run, learned), times[run.conversation_id])
    return found


Learned = Mapping[tuple[int, int], int]
"""By conversation and model: the window as it is where a provider refused what should have fitted."""


def _condensed(conversations: Sequence[int]) -> tuple[Counter[int], Learned]:
    """Return how often each of the conversations was condensed, and what was learned. One query."""
    rows = Condensation.objects.filter(conversation__in=conversations).order_by().values("conversation", "model")
    times, learned = Counter[int](), {}
    for row in rows.annotate(count=Count("pk"), least=Min("window_tokens", filter=REFUSED)):
        times[row["conversation"]] += row["count"]
        if row["least"]:
            learned[row["conversation"], row["model"]] = row["least"]
    return times, learned


def _window(run: Run, learned: Learned) -> int:
    listed = run.model.context_tokens
    return min(listed, learned.get((run.conversation_id, run.model_id), listed))
