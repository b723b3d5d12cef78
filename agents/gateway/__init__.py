"""The only door to a model. Nothing passes without a hold, and nothing leaves without a settlement.

``complete()`` makes attempts; each attempt is a hold of its own (``run:5/step:3/attempt:1``)::

    hold, marked sent ──> request ──> headers ──> chunks ──> capture and journal in one transaction
       (one commit)          |           |           |
                             |           |           └── cut, cancelled, in-band error: unresolved
                             |           └── generation id noted: its record can be read later
                             └── refused before generation: released; timed out: unresolved
"""

from agents.gateway.call import Completion, Counted, ModelCall, OnAnswer, OnText, Patience, Store, ToolCall, unnoticed
from agents.gateway.complete import complete

__all__ = [
    "Completion",
    "Counted",
    "ModelCall",
    "OnAnswer",
    "OnText",
    "Patience",
    "Store",
    "ToolCall",
    "complete",
    "unnoticed",
]
