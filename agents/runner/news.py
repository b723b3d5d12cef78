"""What whoever looks at a run hears of it, as it happens."""

from collections.abc import Sequence
from typing import Any

from agents.context import Call
from agents.doing import line
from agents.models import Run
from mcc.core import live

News = tuple[str, dict[str, Any]]
"""Kind and data of an event."""


def doing(run: Run, call: Call) -> News:
    """Return the news of what a run does now."""
    return "doing", {"run": run.pk, "text": line(call.name, call.arguments)}


def publish(run: Run, news: Sequence[News]) -> None:
    """Tell whoever looks at the run, as (kind, data)."""
    if run.stream:
        live.publish_many([(run.stream, kind, data) for kind, data in news])
