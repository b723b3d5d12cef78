"""What is asked of a model and what it answers."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from agents.gateway import pricing
from agents.models import ModelCard, Run
from budgets.models import Usage
from mcc.core import redaction

JSON = dict[str, Any]

OnText = Callable[[str | None], None]
"""Hears each new piece of text on the event loop; None says: forget what you heard, it was for nothing."""

OnAnswer = Callable[[], None]
"""Told, on the event loop, that a provider has begun to answer: once for each attempt that comes so far."""


@dataclass(frozen=True)
class Patience:
    """How long a call is tried. Pauses double from ``first_pause_s``, with jitter; ``Retry-After`` counts if longer."""

    attempts: int = 5
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    silence_s: float = 120.0
    look_up_pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    money_s: float = 20.0
    """How long to wait for money that is only set aside for other calls."""
    money_pause_s: float = 0.5
    outage_s: float = 300.0
    """How long to wait for a model that everybody is kept away from, when there is no other."""
    outage_pause_s: float = 5.0

    def pause_s(self, failures: int, retry_after_s: float | None) -> float | None:
        """Return the seconds to wait after so many failures, or None when it is over."""
        if failures >= self.attempts or (retry_after_s or 0) > self.longest_pause_s:
            return None
        backoff_s = min(self.longest_pause_s, self.first_pause_s * 2 ** (failures - 1))
        jittered_s = backoff_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads callers, guards nothing
        return max(jittered_s, retry_after_s or 0)


@dataclass(frozen=True)
class Counted:
    """What a provider told before: the first ``messages`` of a prompt, and its tools, were ``tokens`` for ``model``."""

    messages: int
    tokens: int
    model: str


@dataclass(frozen=True)
class ModelCall:
    """One question to the model of ``run``'s agent, with the whole conversation.

    ``reference_prefix`` names it in the ledger (``run:5/step:3``), unique among the calls of the company.
    ``max_tokens``, ``model``, ``purpose`` and ``step`` default to those of the agent and the run. With ``counted`` less
    has to be set aside. ``is_new``: nobody can have asked it before, in whichever process.
    """

    run: Run
    messages: Sequence[JSON]
    tools: Sequence[JSON]
    reference_prefix: str
    purpose: str = ""
    max_tokens: int | None = None
    model: ModelCard | None = None
    step: int | None = None
    counted: Counted | None = None
    is_new: bool = False
    patience: Patience = field(default_factory=Patience)

    @cached_property
    def text(self) -> str:
        """All that is said, as JSON: made once, for everything that has to look through it."""
        return pricing.text_of(self.messages, self.tools)

    @cached_property
    def bytes_bound(self) -> int:
        """A number of tokens that the prompt cannot pass, whatever the model."""
        return pricing.bound_of(self.text, len(self.messages), has_tools=bool(self.tools))

    def bound_for(self, model: str) -> int:
        """Return a number of tokens that the prompt cannot pass for ``model``: close where its beginning is counted."""
        if self.counted is None or self.counted.model != model:
            return self.bytes_bound
        new = self.messages[self.counted.messages :]
        return pricing.grown_bound(self.bytes_bound, self.counted.tokens, new)

    def without_secrets(self) -> "ModelCall":
        """Return the call as it may leave.

        What people and tools say is redacted when it is journaled, so nearly always this is the call itself, and only
        what is known word for word is looked for.
        """
        if not redaction.holds_known(self.text):
            return self
        messages, tools = json.loads(redaction.redact_known(self.text))
        return replace(self, messages=messages, tools=tools, counted=None)


@dataclass(frozen=True)
class ToolCall:
    """``id`` is unique in the run. ``arguments`` are as the model wrote them: perhaps no JSON at all."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Completion:
    """The answer. ``finish_reason`` is one of tool_calls, stop, length, content_filter, refusal.

    ``answered_at`` is the time of ``time.monotonic`` when it had come.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    duration_ms: int
    answered_at: float


Store = Callable[[Completion, Usage], None]
"""Writes the answer into the journal, in the transaction that charges for it. Raises LeaseLost when it may not."""


def unnoticed() -> None:
    """Do nothing when an answer begins."""
