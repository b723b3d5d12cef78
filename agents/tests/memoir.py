"""Journals written by hand, as a runner would have written them."""

from agents.context import USUAL_WINDOW, History
from agents.models import Conversation, Message, Run


def history_of(run: Run, window_tokens: int = USUAL_WINDOW) -> History:
    history = History(Conversation.objects.get(pk=run.conversation_id), window_tokens=window_tokens)
    history.catch_up()
    return history


def answer(run: Run, step: int, *calls: str, text: str = "", heard: int = 0, arguments: str = "{}") -> Message:
    return Message.objects.create(
        conversation=run.conversation,
        run=run,
        step=step,
        role="assistant",
        agent=run.agent,
        content=text,
        tool_calls=[{"id": f"s{step}c{n}", "name": name, "arguments": arguments} for n, name in enumerate(calls)],
        detail={"heard": heard} if heard else {},
    )


def result(run: Run, step: int, number: int, text: str, *, tool_name: str = "jot", **facts: object) -> Message:
    return Message.objects.create(
        conversation=run.conversation,
        run=run,
        step=step,
        role="tool",
        content=text,
        tool_call_id=f"s{step}c{number}",
        tool_name=tool_name,
        **facts,
    )
