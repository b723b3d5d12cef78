"""What was done about a run that does not get on, written down: each rung is a row that pages and REST show."""

from django.db import transaction

from agents.circles import Circle
from agents.context import History
from agents.guards import Ending
from agents.models import Run, Rung
from agents.runner import news, states
from agents.runner.claims import Lease
from agents.runner.news import News


def write(run: Run, heard: int, circle: Circle, done: Rung.Done) -> News:
    """Write a rung behind message ``heard``, and return the news of it."""
    rung = Rung.objects.create(
        run=run, step=max(0, run.step - 1), heard=heard, noticed=circle.kind, count=circle.count, done=done
    )
    return "rung", {"rung": rung.pk, "run": run.pk}


@transaction.atomic
def end(lease: Lease, run: Run, history: History, circle: Circle, ending: Ending, worked_ms: int) -> None:
    """End a run for which nothing more can be done."""
    states.finish(lease, ending, worked_ms)
    news.publish(run, [write(run, history.heard, circle, Rung.Done.ENDED)])
