"""The ledger's numbers, and whether the books are sound."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Count, Sum
from django.utils import timezone

from budgets import audit, periods, queries, reading
from budgets.models import Hold, Unfolded
from budgets.services import rollups
from budgets.services.accounts import global_account
from mcc.core import metrics
from mcc.core.doctor import Finding, check, fail, ok, warn
from mcc.core.money import NANOUSD, usd_display

RECOUNTED = timedelta(days=2)


@metrics.gauge("mcc_holds", "Calls whose cost is not known yet, by state.", label="state")
def holds() -> Mapping[str, int]:
    found = dict(Hold.objects.open().order_by().values_list("state").annotate(Count("pk")))
    return {state.value: found.get(state.value, 0) for state in Hold.OPEN}


@metrics.gauge("mcc_held_usd", "Money set aside for them.")
def held() -> float:
    return float(Hold.objects.open().aggregate(total=Sum("amount_nanousd", default=0))["total"] / NANOUSD)


@metrics.counter("mcc_spent_usd_total", "What was ever spent.")
def spent() -> float:
    return queries.spent_nanousd(global_account()) / NANOUSD


@metrics.gauge("mcc_unfolded_postings", "Postings that wait to be folded into the sums per day.")
def unfolded() -> int:
    return Unfolded.objects.count()


@check("Books")
def books() -> Finding:
    wrong = audit.differences(since=timezone.now() - RECOUNTED)
    if wrong:
        return fail(f"{len(wrong)} numbers are not borne out by their lines: {wrong[0]}", "Report it: this is a bug.")
    lost = Hold.objects.long_lost()
    amount = lost.aggregate(total=Sum("amount_nanousd", default=0))["total"]
    if lost.exists():
        text = f"they balance; nobody knows yet what {lost.count()} lost calls cost, at most {usd_display(amount)}"
        return warn(
            text,
            "Nothing to do: they count in full, and are settled when the provider tells, or in a day, or by hand.",
        )
    return ok("they balance")


@check("Time zone")
def time_zone() -> Finding:
    counted, ours = rollups.calendar_zone(), periods.zone_name()
    if counted != ours:
        text = f"the sums per day are those of {counted}, this process goes by {ours}"
        return warn(text, "Set MCC_TIME_ZONE alike for every process and start them anew: that adds the days up again.")
    return ok(f"days, weeks and months begin in {ours}")


@check("Bill")
def bill() -> Finding:
    found = reading.checks()
    if not found:
        return ok("no provider was asked in the last days")
    for last in reading.off(found):
        ours, theirs = usd_display(last.ours_nanousd), usd_display(last.theirs_nanousd)
        text = f"{last.provider} billed {theirs} on {last.day}, {ours} is booked"
        return warn(text, "Is the API key used by something else too? Give Mission Control a key of its own.")
    last = found[0].newest
    return ok(f"{last.provider} billed {usd_display(last.theirs_nanousd)} on {last.day}, as booked")
