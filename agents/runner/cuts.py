"""When a conversation is cut, and what takes the place of what was said.

    too long for the window        the middle gives way to notes
    going round in circles, once   everything after the order does: a fresh context with a hand-off note
    the second time                the same, and another model goes on
    the third time                 the run ends as stuck, and a person is asked

Whether it is time is read from the rows each time, so a run that is killed half-way up the ladder goes on climbing.
"""

from dataclasses import dataclass
from typing import Final

from agents import context, guards
from agents.context import History
from agents.guards import Ending
from agents.models import ModelCard, Outcome, Run

FRESH, OTHER_MODEL = 1, 2

HANDOFF_ORDER: Final = """\
You have gone round in circles, so somebody with fresh eyes takes over from here: they see the system prompt, the work \
order and your notes, nothing else. Write the notes. Sections: WISHES OF PEOPLE (word for word), DONE (with paths), \
FACTS FOUND (paths, names, commands and what they said), WHAT WAS TRIED AND DID NOT HELP, WHAT ELSE IT COULD BE. No \
greetings, no tool calls, at most 800 words."""
AGAIN: Final = (
    "[Mission Control: what went before went round in circles ({what}). You start afresh from the notes below. Do not "
    "repeat it: look for another cause, take another way, or `ask`.]\n\n"
)


@dataclass(frozen=True)
class Cut:
    """Rows up to ``until`` give way to notes that the model writes as ``order`` says; ``preface`` stands before them.

    ``rung`` is how far up the ladder the run is then, and ``model`` who goes on, if it is another.
    """

    until: int
    order: str = context.CONDENSE_ORDER
    preface: str = ""
    rung: int | None = None
    model: ModelCard | None = None


def shortening(run: Run, history: History) -> Cut | None:
    """Return the cut that makes room in the model's window, or None while there is enough."""
    until = context.condense_until(history, run.model.context_tokens)
    return Cut(until) if until else None


def climb(run: Run, history: History) -> Cut | Ending:
    """Return the next rung for a run that goes round in circles. One query, perhaps."""
    what = guards.circle(history.results(run))
    fresh = Cut(history.heard, order=HANDOFF_ORDER, preface=AGAIN.format(what=what), rung=FRESH)
    if run.rung < FRESH:
        return fresh
    other = _other_model(run) if run.rung < OTHER_MODEL else None
    if other is None:
        return Ending(Outcome.STUCK, what)
    return Cut(fresh.until, fresh.order, fresh.preface, OTHER_MODEL, other)


def _other_model(run: Run) -> ModelCard | None:
    usable = run.agent.fallbacks.filter(active=True, provider__active=True).exclude(pk=run.model_id)
    return usable.select_related("provider", "price").order_by("pk").first()
