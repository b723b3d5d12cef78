"""When a conversation is cut, and what takes the place of what was said.

    too long for the window        the middle gives way to notes; when what must stay fills it alone, the run ends
    going round in circles, once   everything after the order does: a fresh context with a hand-off note
    the second time                the same, and another model goes on
    the third time                 the run ends as stuck, and a person is asked

Whether it is time is read from the rows each time, so a run that is killed half-way up the ladder goes on climbing.
"""

from dataclasses import dataclass, replace
from typing import Final

from agents import condensing
from agents.circles import Circle
from agents.context import History
from agents.guards import Ending
from agents.models import Condensation, ModelCard, Outcome, Run

FRESH, OTHER_MODEL = 1, 2

HANDOFF_ORDER: Final = """\
You have gone round in circles, so somebody with fresh eyes takes over from here: they see the system prompt, the work \
order, what people said and your notes, nothing else. Write the notes. Sections: DONE (with paths), FACTS FOUND \
(paths, names, commands and what they said), WHAT WAS TRIED AND DID NOT HELP, WHAT ELSE IT COULD BE. No greetings, no \
tool calls, at most 800 words."""
AGAIN: Final = (
    "[Mission Control: what went before went round in circles ({what}). You start afresh from the notes below. Do not "
    "repeat it: look for another cause, take another way, or `ask`.]\n\n"
)


@dataclass(frozen=True)
class Cut:
    """Rows up to ``until`` give way to notes that the model writes as ``order`` says; ``preface`` stands before them.

    ``rung`` is how far up the ladder the run is then for that ``circle``, and ``model`` who goes on, if it is another.
    """

    until: int
    reason: Condensation.Reason = Condensation.Reason.FULL
    order: str = condensing.ORDER
    preface: str = ""
    rung: int | None = None
    model: ModelCard | None = None
    circle: Circle | None = None


def shortening(history: History) -> Cut | Ending | None:
    """Return the cut that makes room in the model's window, None while there is enough, how it ends if none can.

    ``history.size`` is that of the prompt as it is now.
    """
    if until := condensing.cut(history):
        reason = Condensation.Reason.REFUSED if history.refusals else Condensation.Reason.FULL
        return Cut(until, reason)
    return no_room(history) if condensing.is_full(history) else None


def no_room(history: History) -> Ending:
    """Return how a run ends whose model cannot take in what must stay in the prompt."""
    needed, window = history.tokens(history.size), history.window_tokens
    return Ending(
        Outcome.LIMIT_WINDOW,
        f"Instructions, order, pinned block and the last step take about {needed:,} tokens, and the window of the "
        f"model holds {window:,}. Choose a model with a larger one.",
    )


def climb(run: Run, history: History, circle: Circle) -> Cut | Ending:
    """Return the next rung for a run that goes round in circles. One query, perhaps."""
    fresh = Cut(
        history.heard,
        Condensation.Reason.CIRCLE,
        HANDOFF_ORDER,
        AGAIN.format(what=circle.what),
        rung=FRESH,
        circle=circle,
    )
    if run.rung < FRESH:
        return fresh
    other = _other_model(run) if run.rung < OTHER_MODEL else None
    if other is None:
        return Ending(Outcome.STUCK, circle.what)
    return replace(fresh, rung=OTHER_MODEL, model=other)


def _other_model(run: Run) -> ModelCard | None:
    usable = run.agent.fallbacks.filter(active=True, provider__active=True).exclude(pk=run.model_id)
    return usable.select_related("provider", "price").order_by("pk").first()
