"""What became of what was paid for: where the sums by outcome are, each with what is not folded in yet.

The outcome of a run that is not over is not known, so its sums are its own until it ends (`RunSpend`); what reads them
asks the run, in the same statement. So they are right from the moment in which a run ends, and no run waits for that.
"""

from typing import Final

from django.db.models import Case, F, Value, When

from budgets.summed import FRESH, READY, Part

GOING_ON, NO_RUN = "open", "none"
"""What stands for an outcome where there is none: of a run that is not over, and of what no run was charged for."""

_OF_RUN: Final = f"COALESCE(NULLIF(run.outcome, ''), '{GOING_ON}')"
_OF_USAGE: Final = (
    f"(SELECT {_OF_RUN} FROM agents_charge charge JOIN agents_run run ON run.id = charge.run_id "  # noqa: S608
    "WHERE charge.usage_id = used.id)"
)
# None is a join: a database whose statistics are old could begin it with all runs.
PARTS: Final = (
    Part("agents_outcomespend", {**READY.names, "outcome": "outcome"}, READY.measures),
    Part(
        "agents_runspend of_run",
        {**READY.names, "outcome": f"(SELECT {_OF_RUN} FROM agents_run run WHERE run.id = of_run.run_id)"},  # noqa: S608
        READY.measures,
    ),
    Part(FRESH.tables, {**FRESH.names, "outcome": f"COALESCE({_OF_USAGE}, '{NO_RUN}')"}, FRESH.measures),
)
"""Of the sums, by all that the sums per day tell, and by outcome."""


def became(run: str) -> Case:
    """Return the outcome of the run at the end of the path ``run``, or one of the words for none."""
    return Case(
        When(**{f"{run}__isnull": True}, then=Value(NO_RUN)),
        When(**{f"{run}__outcome": ""}, then=Value(GOING_ON)),
        default=F(f"{run}__outcome"),
    )
