"""What is known of a prompt's size: its beginning was sent before, and the provider told how many tokens it was."""

from collections.abc import Sequence
from typing import Any

from agents.context import History
from agents.gateway import Counted
from agents.models import Run

JSON = dict[str, Any]


def counted(run: Run, history: History, messages: Sequence[JSON]) -> Counted | None:
    """Return what the provider counted of ``messages``, the prompt of the next step of ``run``; None when nothing.

    A prompt only grows at its end: what stands before the last answer is what that was an answer to, as long as nothing
    was condensed since.
    """
    answers = history.answers(run)
    if not answers or answers[-1].usage is None:
        return None
    last, usage = answers[-1], answers[-1].usage
    is_said = bool(last.content or last.tool_calls)
    if not is_said or not usage.input_tokens or last.detail.get("condensed") != history.conversation.condensed_until:
        return None
    before = max(place for place, message in enumerate(messages) if message["role"] == "assistant")
    return Counted(before, usage.input_tokens, usage.model_asked)
