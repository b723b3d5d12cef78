"""The line to a model: the chat-completions API over the package ``openai``, which nobody else knows.

What an endpoint says is turned into frozen dataclasses here, what goes wrong into ``CallFailed``. Nothing is tried
twice: every request may cost money, so the gateway decides, with a hold of its own.
"""

from agents.client.answers import Answer, ChatRequest, answering
from agents.client.connections import close, load
from agents.client.records import (
    Activity,
    Generation,
    Key,
    activity,
    credit_nanousd,
    generation,
    hashes,
    key,
    limit_key,
    models,
)

__all__ = [
    "Activity",
    "Answer",
    "ChatRequest",
    "Generation",
    "Key",
    "activity",
    "answering",
    "close",
    "credit_nanousd",
    "generation",
    "hashes",
    "key",
    "limit_key",
    "load",
    "models",
]
