"""What was spent until now is added up by what became of the runs, one account after the other, each in a transaction of
its own: once killed, it goes on with those that are left.
"""

from zoneinfo import ZoneInfo

from django.db import migrations, transaction
from django.db.models import Case, Count, F, Sum, Value, When
from django.db.models.functions import TruncDate

FOLD = 0x6D636364
"""The advisory lock of whoever folds."""
TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
SUMS = ("amount_nanousd", "generations", *TOKENS)
TOLD = {
    "model": "usage__model_used",
    "provider": "usage__provider",
    "source": "usage__cost_source",
    "model_asked": "usage__model_asked",
    "endpoint": "usage__hold__provider",
}
RUN = "usage__charge__run"
OPEN = Case(When(**{f"{RUN}__outcome": ""}, then=F(RUN)), default=None)
OUTCOME = Case(When(**{f"{RUN}__isnull": True}, then=Value("none")), default=F(f"{RUN}__outcome"))


def fill(apps, schema_editor):
    over, going_on = apps.get_model("agents", "OutcomeSpend"), apps.get_model("agents", "RunSpend")
    zone = ZoneInfo(apps.get_model("budgets", "Calendar").objects.values_list("zone", flat=True).first() or "UTC")
    days = apps.get_model("budgets", "DaySpend").objects.order_by()
    done = {*over.objects.values_list("account", flat=True), *going_on.objects.values_list("account", flat=True)}
    for account in sorted({*days.values_list("account", flat=True).distinct()} - done):
        with transaction.atomic():
            if schema_editor.connection.vendor == "postgresql":
                schema_editor.execute("SELECT pg_advisory_xact_lock(%s)", [FOLD])
            found = list(_added_up(apps, account, zone))
            of_runs = [going_on(run_id=run, **told) for run, _, told in found if run]
            of_outcomes = [over(outcome=outcome, **told) for run, outcome, told in found if not run]
            going_on.objects.bulk_create(of_runs, batch_size=500)
            over.objects.bulk_create(of_outcomes, batch_size=500)


def _added_up(apps, account, zone):
    """Yield open runs, outcomes, and the sums that they have."""
    waiting = apps.get_model("budgets", "Unfolded").objects.filter(account=account).values("pk")
    rows = apps.get_model("budgets", "Posting").objects.filter(account=account).exclude(pk__in=waiting).order_by()
    rows = rows.values_list(OPEN, OUTCOME, TruncDate("at", tzinfo=zone), *TOLD.values())
    sums = rows.annotate(Sum("amount_nanousd"), Count("pk"), *(Sum(f"usage__{name}") for name in TOKENS))
    for run, outcome, *told in sums:
        yield run, outcome, {"account_id": account, **dict(zip(("day", *TOLD, *SUMS), told, strict=True))}


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("agents", "0027_outcome_spend"), ("budgets", "0023_decide_lost_calls")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
