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
    was condensed since and the window is thought to be the same: how much of long messages is shown depends on it.
    """
    answers = history.answers(run)
    if not answers or answers[-1].usage is None:
        return None
    last, usage = answers[-1], answers[-1].usage
    is_said = bool(last.content or last.tool_calls)
    was, now = (last.detail.get("condensed"), last.detail.get("window")), history.conversation.condensed_until
    if not is_said or not usage.input_tokens or was != (now, history.window_tokens):
        return None
    before = max(place for place, message in enumerate(messages) if message["role"] == "assistant")
    return Counted(before, usage.input_tokens, usage.model_asked)
