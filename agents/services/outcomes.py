"""Adds the postings up by what became of their runs, in the transactions in which the ledger adds them up by day.

An outcome is final, so what a run that is over was charged belongs to its OutcomeSpend for good, late charges too. What
is charged for a run that is not over is added to the RunSpend of that run, and moved when something is folded in after
it has ended. Nobody else writes either, and who folds is alone.
"""

from datetime import date
from typing import Any, Final

from django.db.models import Case, F, QuerySet, When
from django.db.models.expressions import Combinable
from django.db.models.functions import TruncDate

from agents.models import OutcomeSpend, RunSpend
from agents.outcomes import GOING_ON, became
from budgets import periods
from budgets.audit import Difference, unlike
from budgets.models import Posting, Unfolded
from budgets.services import sheets
from budgets.services.sheets import Sums, SumTable
from budgets.summed import MEASURES

RUN: Final = "usage__charge__run"
TOLD: Final[dict[str, str | Combinable]] = {
    **sheets.TOLD,
    "outcome": became(RUN),
    "open_run": Case(When(**{f"{RUN}__outcome": ""}, then=F(RUN)), default=None),
}
BATCH: Final = 5_000


class Outcomes:
    """Both kinds of sums, of which each posting is in one."""

    def __init__(self) -> None:
        self._over = SumTable(OutcomeSpend, *sheets.TOLD, "outcome")
        self._going_on = SumTable(RunSpend, *sheets.TOLD, "run_id")

    def clear(self) -> None:
        self._over.clear()
        self._going_on.clear()

    def add(self, postings: QuerySet[Posting], zone: str) -> Sums:
        # One statement says of each run whether it is over: it may end meanwhile.
        found = sheets.added_up(postings, zone, TOLD)
        self._over.put({key[:-1]: sums for key, sums in found.items() if key[-2] != GOING_ON})
        self._going_on.put({(*key[:-2], key[-1]): sums for key, sums in found.items() if key[-2] == GOING_ON})
        self._move()
        return found

    def _move(self) -> None:
        """Move what belongs to runs that have ended."""
        ended = list(RunSpend.objects.exclude(run__outcome="").annotate(became=F("run__outcome"))[:BATCH])
        moved: dict[sheets.Key, dict[str, int]] = {}
        for row in ended:
            key = (row.account_id, row.day, *(getattr(row, name) for name in sheets.TOLD), row.became)
            sums = moved.setdefault(key, dict.fromkeys(MEASURES, 0))
            for name in MEASURES:
                sums[name] += getattr(row, name)
        self._over.put(moved)
        RunSpend.objects.filter(pk__in=[row.pk for row in ended]).delete()


def recount(since: date) -> list[Difference]:
    """What pages say that an account spent on a day for runs of an outcome, against its postings. One statement."""
    shown: list[QuerySet[Any]] = [
        OutcomeSpend.objects.annotate(became=F("outcome")),
        RunSpend.objects.annotate(became=became("run")),
        Unfolded.objects.annotate(became=became(f"posting__{RUN}")),
    ]
    postings = Posting.objects.filter(at__gte=periods.midnight(since))
    postings = postings.annotate(day=TruncDate("at", tzinfo=periods.zone()), became=became(RUN))
    wrong = unlike([rows.filter(day__gte=since) for rows in shown], postings, "account", "day", "became")
    return [Difference(f"account {key[0]} on {key[1]}, {key[2]}, shown", *both) for key, both in wrong.items()]
